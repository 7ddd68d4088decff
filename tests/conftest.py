"""What several tests share: a repeatable hypothesis, a plotting backend without a screen."""

import matplotlib
from hypothesis import settings

matplotlib.use("Agg")
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")
