"""The frontend: takes messages over HTTP, and answers 202 only for what is on disk.

The law of this folder: what comes in is judged by pure code (`schema/`, `query.py`), what goes
out is shaped by pure code (`views.py`, `problems.py`); only `routes/` and what stands around them
(`edge.py`, `server.py`, `bodies.py`) know HTTP, and no answer leaves without passing the edge.
"""
