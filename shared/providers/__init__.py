"""One file for each kind of email service: how a message becomes a request, and what an answer means.

The law of this folder: no I/O and no clock. An adapter builds a request and classifies a reply;
the sender's transports carry both.
"""
