"""Everything on one machine: `up`, its children, its screen.

The law of this folder: it starts processes and imports none of the services.
"""
