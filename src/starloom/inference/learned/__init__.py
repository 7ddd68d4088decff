"""Starts of fits that a network has learned: spectrum in cells of velocity to labels and velocity."""
