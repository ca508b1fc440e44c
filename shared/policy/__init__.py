"""The decisions of delivery: whom to hand a message to, how fast, when to leave a provider and when to return.

The law of this folder: no I/O, no clock, no randomness. `now` and `draw` (evenly distributed in
[0, 1)) are arguments. What one process learns for itself (latency, health, breaker, routing)
counts `now` in seconds of any steady clock; what the whole cluster shares (limiter) in integer
milliseconds of Redis's clock.
"""
