"""The packaged bands: for each a folder with ``band.toml`` and the tables that are its own."""
