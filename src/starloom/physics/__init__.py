"""The physics of a stellar spectrum, in cgs units and vacuum wavelengths; opens no file and knows no
network."""
