"""Stores of spectra: made by the synthesiser or imported, and read in batches by networks."""
