"""All that the client decides, shared by its two faces.

The law of this folder: no I/O, no clock, no randomness. A call is a generator that asks for one
thing at a time, an exchange over HTTP or a pause, and is told what came of it, what time it is
and what chance drew. Whoever drives it decides how to wait.
"""
