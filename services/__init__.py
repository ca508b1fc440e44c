"""The three processes. They share nothing but Redis: none imports another."""
