"""The model ``optical``: spectra from 4200 to 9200 Angstrom, for starloom's entry points."""
