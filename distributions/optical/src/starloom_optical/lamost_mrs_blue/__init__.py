"""The window ``lamost-mrs-blue`` of the band ``optical``."""
