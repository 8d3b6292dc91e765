"""Sections of a page of the documentation that a command writes."""

import os
import platform
import re
from datetime import date
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from bids_stroke.utils import files

DOCS = Path(__file__).parents[1] / "docs"
RESULTS, PERFORMANCE = DOCS / "results.md", DOCS / "performance.md"


def write(name, text, page=RESULTS):
    """Replace a section of a page, or add it at the end.

    Parameters
    ----------
    name : str
        That of the command, as in the comments around the section.
    text : str
        Markdown.
    """
    start, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    section = f"{start}\n{text.strip()}\n{end}"
    old = page.read_text() if page.is_file() else ""
    found = re.search(f"{re.escape(start)}.*?{re.escape(end)}", old, re.DOTALL)
    new = old.replace(found[0], section) if found else f"{old.rstrip()}\n\n{section}\n"
    with files.atomic(page) as partial:
        partial.write_text(new)


def table(frame, index=True, digits=3):
    """A data frame in Markdown."""
    shown = frame.astype(object).where(frame.notna(), None)
    return shown.to_markdown(index=index, floatfmt=f".{digits}g", missingval="")


def measured(name, text, page=PERFORMANCE):
    """Write a section, and below it when, on what machine and with what versions it was measured."""
    names = ("bids_stroke", "torch", "antspyx", "monai", "nibabel")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    cpu = re.search("model name\\s*: (.*)", Path("/proc/cpuinfo").read_text())
    cores = len(os.sched_getaffinity(0))
    where = f"{cores} core{'s' * (cores > 1)} of {cpu[1] if cpu else platform.machine()}"
    write(name, f"{text}\n\n{date.today()}, {where}; {versions}.", page)


def tables(folder, *names):
    """The tables of an evaluation in Markdown, each below what it is."""
    from bids_stroke.evaluation import published_tables

    parts = []
    for name in names:
        doc = " ".join(getattr(published_tables, name.lower()).__doc__.split())
        title = name.replace("_table", ", Table ")
        parts.append(f"### {title}\n\n{doc}\n\n{(Path(folder) / 'tables' / f'{name}.md').read_text()}")
    return "\n".join(parts)


def claims(folder, expected):
    """Whether models came out in the order that their papers found, by Dice, as a list.

    Parameters
    ----------
    folder : Path
        Of an evaluation.
    expected : sequence of (str, str, str)
        What the paper claims, the better model, the worse.
    """
    scores = pd.read_csv(Path(folder) / "evaluation.tsv", sep="\t").groupby("model")["dice"].mean()
    compared = pd.read_csv(Path(folder) / "evaluation_comparisons.tsv", sep="\t")
    lines = []
    for words, better, worse in expected:
        one = compared.query(
            "score == 'dice' and a in @both and b in @both", local_dict={"both": (better, worse)}
        )
        verdict = "came out" if scores[better] > scores[worse] else "did not come out"
        lines.append(
            f"- {words}: {verdict} ({better} {scores[better]:.3f}, {worse} {scores[worse]:.3f}, "
            f"p = {one['p'].item():.2g})"
        )
    return "\n".join(lines)
