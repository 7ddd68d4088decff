"""The model ``paper``: the generator of Gebran (2024) as described there, for starloom's entry points."""
