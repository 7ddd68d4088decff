"""The window ``lamost-mrs-red`` of the band ``optical``."""
