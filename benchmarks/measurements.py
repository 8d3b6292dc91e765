"""Helpers of the benchmarks: imports from the studies, and output of measurements to a page."""

import os
import platform
import re
import sys
from datetime import date
from importlib.metadata import version
from pathlib import Path

# Folders of common.py and nnunets.py.
sys.path.extend(str(Path(__file__).parents[1] / name) for name in ("studies", "tests"))

from common import DATA, DOCS, pack_packages, start_dataset, write_section

__all__ = [
    "DATA",
    "PERFORMANCE",
    "markdown",
    "pack_packages",
    "start_dataset",
    "write_measured",
    "write_section",
]

PERFORMANCE = DOCS / "performance.md"


def markdown(frame, index=True, digits=3):
    """Format a data frame in Markdown."""
    cells = frame.astype(object).where(frame.notna(), None)
    return cells.to_markdown(index=index, floatfmt=f".{digits}g", missingval="")


def write_measured(name, text, page=PERFORMANCE):
    """Write a section with the date, machine and versions of the measurement."""
    names = ("bids_stroke", "torch", "antspyx", "monai", "nibabel")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    cpu = re.search("model name\\s*: (.*)", Path("/proc/cpuinfo").read_text())
    cores = len(os.sched_getaffinity(0))
    machine = f"{cores} core{'s' * (cores > 1)} of {cpu[1] if cpu else platform.machine()}"
    write_section(name, f"{text}\n\n{date.today()}, {machine}; {versions}.", page)
