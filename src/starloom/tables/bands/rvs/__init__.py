"""The band of the Gaia RVS and the infrared Ca II triplet, 8400-8800 A."""
