"""NiiVue, which shows the images of a viewer, from the package ``ipyniivue``."""

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
    """:func:`bids_stroke.reports.viewer.niivue.module`, gzipped, in Base64 (text)."""
    return b64encode(gzip.compress(module(), mtime=0)).decode()


def module() -> bytes:
    """NiiVue as JavaScript: a module that sets ``globalThis.Niivue``.

    ``ipyniivue`` has it in the module of its widget, which exports the widget alone; the name of the
    class is read from the place where the widget makes an instance.

    Raises
    ------
    ResourceError
        If the package is missing, or its module is made in another way.
    """
    path = package_file("ipyniivue", "static/widget.js", "The viewer")
    code = path.read_bytes()
    match = _CLASS.search(code)
    if not match or not _EXPORT.search(code):
        raise ResourceError(
            f"{path} is not the NiiVue that the viewer knows; install the version of ipyniivue that "
            "constraints.txt names."
        )
    return _EXPORT.sub(b"globalThis.Niivue=" + match[1].replace(b"\\", b"\\\\") + b";", code)


def license_text() -> str | None:
    """Licence of NiiVue, as text; None if the package has no such file."""
    return distribution("ipyniivue").read_text("licenses/LICENSE")
