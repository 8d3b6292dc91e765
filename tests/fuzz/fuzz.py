"""Fuzz a reader of users' files: ``python tests/fuzz/fuzz.py READER [-max_total_time=600]``.

Needs ``pip install atheris``; readers and what they may raise are in ``tests/faults/targets.py``. The
options are those of libFuzzer. It ends with status 0 if nothing but our own errors came out.
"""

import sys
import tempfile
from functools import partial
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[1]))
with atheris.instrument_imports(include=["bids_stroke", "nibabel", "yaml"]):
    from faults import targets


def one(name, content):
    """Read some bytes; what comes of it does not matter."""
    targets.read(name, content)


def main():
    """Fuzz the reader that the command line names, starting from a good file of its kind."""
    name = sys.argv.pop(1)
    corpus = Path(tempfile.mkdtemp())  # it stays: libFuzzer ends the process
    (corpus / "good").write_bytes(targets.GOOD[name])
    atheris.Setup([*sys.argv, str(corpus)], partial(one, name))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
