"""The queue: the only folder that knows a key, a script, or the Redis client.

The law of this folder: every change of a message's state is one script, and everything that
leaves it is the domain's data or one of the errors of `shared.domain.errors`.
"""

from shared.queue.queue import Queue

__all__ = ["Queue"]
