"""The explorer: a page that draws spectra in the reader's own browser, served here or exported as files."""
