"""What Gebran (2024), Astronomy 3, 1-13, prints, to be set beside what is found here."""

# labels in the order of their estimators; the resolution last, since the paper gives no value for it
LABELS = ("teff", "logg", "mh", "vmic", "vsini", "resolution")
SETS = ("training", "validation", "test", "generated")
TABLE_5 = {  # in the labels' units; columns as in SETS
    "teff": (70.0, 110.0, 120.0, 119.0),
    "logg": (0.02, 0.03, 0.03, 0.05),
    "vsini": (5.0, 6.0, 6.5, 7.0),
    "mh": (0.04, 0.08, 0.15, 0.15),
    "vmic": (0.15, 0.17, 0.17, 0.20),
}
# sections 2.2 and 3.1; what is missing it does not give
AUTOENCODER = {"mse": 4e-6, "mae": 0.0013, "variance_score": 0.998, "r2": 0.999}
COMPONENTS = {"relative_error": 0.005}
MILLISECONDS, SYNTHESIS_SECONDS = 9.0, 180.0
SHOWN_RESOLUTION = 11500.0  # of figure 8
