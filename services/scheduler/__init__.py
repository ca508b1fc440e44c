"""The scheduler: does what time alone makes necessary.

The law of this folder: a chore is one `run_once` of one shard, the loop only waits and survives.
Any number of schedulers run side by side without a leader, because every step is one script.
"""
