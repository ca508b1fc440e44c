"""What every process needs around its work: life and death, tasks, logs, metrics, the operations port.

The law of this folder: it knows nothing of messages, providers or keys in Redis. The services
feed it; it never calls them.
"""
