"""From an envelope to the bytes that travel: addresses, what may stand in a header, and the writer.

The law of this folder: no I/O, no clock, no randomness. The same envelope under the same id gives
the same bytes, at every attempt and in every process.
"""
