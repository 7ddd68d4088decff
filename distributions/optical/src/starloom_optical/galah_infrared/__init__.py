"""The window ``galah-infrared`` of the band ``optical``."""
