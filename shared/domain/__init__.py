"""The words of the service, as immutable data and pure functions.

The law of this folder: no I/O, no clock, no randomness, and no import but the standard
library's data modules and orjson (the codec).
"""
