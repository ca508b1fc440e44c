"""The command `reliable-email`.

The law of this folder: what a command needs is imported when it runs, so that `--help` is quick
and a process of the service carries no other service in its memory.
"""

from reliable_email.cli.app import main

__all__ = ["main"]
