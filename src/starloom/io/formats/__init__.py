"""One module for each format of spectra: a survey's, an archive's, a grid's; ``io.format`` finds them."""
