"""NiiVue, the JavaScript library of the viewers, from the package ``ipyniivue``."""

import gzip
import re
from base64 import b64encode
from functools import lru_cache
from importlib.metadata import distribution

from bids_stroke.errors import ResourceError
from bids_stroke.utils.files import package_file

_CLASS = re.compile(rb'"Creating new Niivue instance"\).*?new ([\w$]+)\(', re.DOTALL)
_EXPORT = re.compile(rb"export\s*\{[^{}]*\};?\s*$")


@lru_cache(maxsize=1)
def encoded_module() -> str:
    """Return :func:`bids_stroke.reports.viewer.niivue.module`, gzipped and encoded in Base64."""
    return b64encode(gzip.compress(module(), mtime=0)).decode()


def module() -> bytes:
    """Extract NiiVue as a JavaScript module that sets ``globalThis.Niivue``.

    ``ipyniivue`` contains NiiVue in the module of its widget, which exports only the widget. The name
    of the class is read from the code that creates an instance.

    Raises
    ------
    ResourceError
        If the package is missing or its module has another structure.
    """
    path = package_file("ipyniivue", "static/widget.js", "The viewer")
    code = path.read_bytes()
    match = _CLASS.search(code)
    if not match or not _EXPORT.search(code):
        raise ResourceError(
            f"{path} contains an unsupported version of NiiVue; install the version of ipyniivue that "
            "is listed in constraints.txt."
        )
    return _EXPORT.sub(b"globalThis.Niivue=" + match[1].replace(b"\\", b"\\\\") + b";", code)


def license_text() -> str | None:
    """Return the license of NiiVue; None if the package does not include it."""
    return distribution("ipyniivue").read_text("licenses/LICENSE")
