"""`python -m reliable_email` is the command `reliable-email`."""

from __future__ import annotations

from reliable_email.cli import main

if __name__ == "__main__":
    main()
