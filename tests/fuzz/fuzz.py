"""Fuzz a reader of user-supplied files: ``python tests/fuzz/fuzz.py READER [-max_total_time=600]``.

Needs ``pip install atheris``; readers and the errors that they may raise are in
``tests/faults/targets.py``. The options are those of libFuzzer. The exit status is 0 if the reader
raises only these errors.
"""

import sys
import tempfile
from functools import partial
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[1]))
with atheris.instrument_imports(include=["bids_stroke", "nibabel", "yaml"]):
    from faults import targets


def read(name, content):
    """Read random content; the result is ignored."""
    targets.read(name, content)


def main():
    """Fuzz the reader named on the command line, starting from a valid file."""
    name = sys.argv.pop(1)
    corpus = Path(tempfile.mkdtemp())  # not deleted, because libFuzzer ends the process
    (corpus / "good").write_bytes(targets.GOOD[name])
    atheris.Setup([*sys.argv, str(corpus)], partial(read, name))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
