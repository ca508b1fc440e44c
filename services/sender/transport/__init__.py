"""The one place where mail leaves: a channel for each provider, joined of its adapter and a transport.

The law of this folder: a transport carries a request and tells what came back and how far it
came; it knows no outcome. What the reply means is the adapter's, and pure.
"""

from services.sender.transport.channel import Channel, open_channel
from services.sender.transport.http import HttpConnections

__all__ = ["Channel", "HttpConnections", "open_channel"]
