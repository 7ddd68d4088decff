"""The window ``galah-red`` of the band ``optical``."""
