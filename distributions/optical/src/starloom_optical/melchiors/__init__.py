"""The window ``melchiors`` of the band ``optical``."""
