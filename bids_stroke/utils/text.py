"""Text of messages."""

from collections.abc import Sequence


def enumeration(names: Sequence[str], limit: int = 10) -> str:
    """Return names separated by commas, and the number of names beyond ``limit``.

    >>> enumeration(["01", "02", "03"], limit=2)
    '01, 02 and 1 more'
    """
    remaining = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {remaining} more" if remaining > 0 else "")


def date_and_time(text: str) -> str:
    """Return the date and the time, to the minute, of a text in ISO 8601.

    >>> date_and_time("2026-05-04T10:30:00.000Z")
    '2026-05-04 10:30'
    """
    return text[:16].replace("T", " ")
