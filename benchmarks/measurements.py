"""Helpers of the benchmarks: those of the studies, and measurements as sections of a page."""

import os
import platform
import re
import sys
from datetime import date
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path += [str(ROOT / "studies"), str(ROOT / "tests")]  # common.py, nnunets.py

from common import DATA, DOCS, start_dataset, write_section  # noqa: E402

__all__ = ["DATA", "PERFORMANCE", "markdown", "start_dataset", "write_measured"]

PERFORMANCE = DOCS / "performance.md"


def markdown(frame, index=True, digits=3):
    """A data frame in Markdown."""
    shown = frame.astype(object).where(frame.notna(), None)
    return shown.to_markdown(index=index, floatfmt=f".{digits}g", missingval="")


def write_measured(name, text, page=PERFORMANCE):
    """Write a section, and below it when, on what machine and with what versions it was measured."""
    names = ("bids_stroke", "torch", "antspyx", "monai", "nibabel")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    cpu = re.search("model name\\s*: (.*)", Path("/proc/cpuinfo").read_text())
    cores = len(os.sched_getaffinity(0))
    where = f"{cores} core{'s' * (cores > 1)} of {cpu[1] if cpu else platform.machine()}"
    write_section(name, f"{text}\n\n{date.today()}, {where}; {versions}.", page)
