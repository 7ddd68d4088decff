"""The window ``galah-green`` of the band ``optical``."""
