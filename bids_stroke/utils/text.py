"""Text of messages."""

from collections.abc import Sequence


def enumeration(names: Sequence[str], limit: int = 10) -> str:
    """Return names separated by commas, and the number of names beyond ``limit``.

    >>> enumeration(["01", "02", "03"], limit=2)
    '01, 02 and 1 more'
    """
    remaining = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {remaining} more" if remaining > 0 else "")
