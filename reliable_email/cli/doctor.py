"""`reliable-email doctor`: is everything as it should be, and can what is not be mended?"""
from __future__ import annotations

def doctor() -> None:
    """x"""
