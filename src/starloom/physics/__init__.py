"""The physics of a stellar spectrum in cgs units and vacuum wavelengths; knows no file and no network."""
