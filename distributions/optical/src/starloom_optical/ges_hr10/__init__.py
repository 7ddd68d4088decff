"""The window ``ges-hr10`` of the band ``optical``."""
