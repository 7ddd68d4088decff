"""The window ``galah-blue`` of the band ``optical``."""
