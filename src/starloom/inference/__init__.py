"""Labels from spectra: what they are, and how well they can be known."""
