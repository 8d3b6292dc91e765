"""NiiVue, the JavaScript library of the viewers, from ``data/niivue``."""

import gzip
from base64 import b64encode
from functools import lru_cache

from bids_stroke.data import DATA

_FOLDER = DATA / "niivue"


@lru_cache(maxsize=1)
def encoded_library() -> str:
    """Return the script that defines ``globalThis.niivue``, gzipped and encoded in Base64."""
    return b64encode(gzip.compress((_FOLDER / "niivue.umd.js").read_bytes(), mtime=0)).decode()


def license_text() -> str:
    """Return the licenses of NiiVue and of the libraries that it includes."""
    names = ("LICENSE", "LICENSE-libraries")
    return "\n".join((_FOLDER / name).read_text(encoding="utf-8") for name in names)
