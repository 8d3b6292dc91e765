"""UTF-8 for all text, independent of the locale, since BIDS uses UTF-8 for names and contents."""

import locale
import os
import sys
from collections.abc import Sequence

#: Environment variable of Python's UTF-8 mode.
_MODE = "PYTHONUTF8"


def start_in_utf8(argv: Sequence[str] | None) -> None:
    """Restart the program in Python's UTF-8 mode, unless it already uses UTF-8.

    In the C locale with the UTF-8 mode off, Python treats text as ASCII. If ``argv`` is given, another
    program has called this function and is not restarted.
    """
    is_utf8 = locale.getpreferredencoding(False).lower().replace("-", "") == "utf8"
    if argv is None and not is_utf8 and os.environ.get(_MODE) != "1":
        command = [sys.executable, *sys.orig_argv[1:]]
        os.execve(sys.executable, command, os.environ | {_MODE: "1"})
