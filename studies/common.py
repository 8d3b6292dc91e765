"""Helpers of the studies and benchmarks: data, runs of the app, and sections of pages."""

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

from bids_stroke.utils import files

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
RESULTS = DOCS / "results.md"
DATA = Path(os.environ.get("BIDS_STROKE_SHARED", ROOT.parent / "shared")) / "data"


def run(module, *arguments):
    """Run a module of bids_stroke as a command; exit with its status if it fails."""
    command = [module, *map(str, arguments)]
    print(*command, flush=True)
    status = subprocess.run([sys.executable, "-m", *command]).returncode
    if status:
        sys.exit(status)


def share(out, work, *names):
    """Make an output folder whose subfolders ``names`` are those of the folder ``work``."""
    out.mkdir(parents=True, exist_ok=True)
    for name in names:
        (work / name).mkdir(parents=True, exist_ok=True)
        if not (out / name).exists():
            (out / name).symlink_to((work / name).absolute())


def pack_packages(names, site):
    """Copy installed packages of pure Python to a folder for a machine without network."""
    site.mkdir(parents=True)
    for name in names:
        origin = Path(find_spec(name).origin)
        if origin.name == "__init__.py":
            unused = shutil.ignore_patterns("*.model", "__pycache__", "tests")
            shutil.copytree(origin.parent, site / name, ignore=unused)
        else:
            shutil.copyfile(origin, site / origin.name)


def markdown(table):
    """Format a table in Markdown, with its cells as they are."""
    return table.to_markdown(index=False, disable_numparse=True)


def evaluate(models, cohort, out, jobs=2):
    """Compare the masks of models (folders by name) with the true masks of a simulated cohort.

    Heads, given in the cohort's participants.tsv, are the units of intervals and tests.
    """
    run(
        "bids_stroke.cli.evaluate",
        *(f"{name}={folder}" for name, folder in models.items()),
        cohort / "derivatives" / "truth",
        out,
        "--nprocs",
        jobs,
        "--participants",
        cohort / "participants.tsv",
    )


def heads(cohort):
    """Return the number of distinct heads of a simulated cohort."""
    return pd.read_csv(cohort / "participants.tsv", sep="\t")["head"].nunique()


def difference(rows, score, models, others):
    """Compute the paired difference of the mean scores of two groups of models.

    Parameters
    ----------
    rows : pandas.DataFrame
        Rows of evaluation.tsv.
    score : str
    models, others : list of str
        Models whose scores are averaged; without others, the scores of the models are summarized.

    Returns
    -------
    bids_stroke.evaluation.statistics.Summary
        Mean with an interval from resampling heads.
    """
    from bids_stroke.evaluation import statistics

    wide = rows.pivot_table(score, ["participant_id", "unit"], "model")
    values = wide[models].mean(axis=1, skipna=False)
    if others:
        values = values - wide[others].mean(axis=1, skipna=False)
    return statistics.summarize(values, wide.index.get_level_values("unit"))


def start_dataset(root, name):
    """Create the folder of a BIDS dataset with its description, and return it."""
    root.mkdir(parents=True, exist_ok=True)
    description = {"Name": name, "BIDSVersion": "1.10.0"}
    (root / "dataset_description.json").write_text(json.dumps(description))
    return root


def write_section(name, text, page=RESULTS):
    """Replace a section of a page, or append it.

    Parameters
    ----------
    name : str
        Name in the comments that mark the section.
    text : str
        Markdown.
    """
    start, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    section = f"{start}\n{text.strip()}\n{end}"
    old = page.read_text() if page.is_file() else ""
    match = re.search(f"{re.escape(start)}.*?{re.escape(end)}", old, re.DOTALL)
    new = old.replace(match[0], section) if match else f"{old.rstrip()}\n\n{section}\n"
    with files.atomic(page) as partial:
        partial.write_text(new)
