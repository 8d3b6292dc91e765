"""Text in UTF-8, whatever the locale: names of files and contents of BIDS datasets are in UTF-8."""

import locale
import os
import sys
from collections.abc import Sequence

#: The variable of Python's UTF-8 mode.
_MODE = "PYTHONUTF8"


def start_in_utf8(argv: Sequence[str] | None) -> None:
    """Start the program anew in Python's UTF-8 mode, unless text is in UTF-8 already.

    In the C locale with the UTF-8 mode off, Python takes text for ASCII. A list of arguments means that
    the program was called by another one, which is left as it is.
    """
    is_utf8 = locale.getpreferredencoding(False).lower().replace("-", "") == "utf8"
    if argv is None and not is_utf8 and os.environ.get(_MODE) != "1":
        command = [sys.executable, *sys.orig_argv[1:]]
        os.execve(sys.executable, command, os.environ | {_MODE: "1"})
