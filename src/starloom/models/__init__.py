"""The packaged weights: a file for each model."""
