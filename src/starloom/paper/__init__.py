"""The paper reproduced: from a store of spectra over all of its networks to its tables and figures."""
