"""The window ``rave`` of the band ``optical``."""
