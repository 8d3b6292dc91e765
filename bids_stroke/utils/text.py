"""Text of messages."""

from collections.abc import Sequence


def enumeration(names: Sequence[str], most: int = 10) -> str:
    """Names separated by commas, and the number of those beyond ``most``.

    >>> enumeration(["01", "02", "03"], most=2)
    '01, 02 and 1 more'
    """
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
