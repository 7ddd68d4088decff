"""The window ``ges-hr21`` of the band ``optical``."""
