"""Helpers of the studies and benchmarks: data, runs of the app, and sections of pages."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd

from bids_stroke.utils import files

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
RESULTS = DOCS / "results.md"
DATA = Path(os.environ.get("BIDS_STROKE_SHARED", ROOT.parent / "shared")) / "data"


def run(module, *arguments):
    """Run a command of bids_stroke by the name of its module; exit with its status if it fails."""
    command = [module, *map(str, arguments)]
    print(*command, flush=True)
    status = subprocess.run([sys.executable, "-m", *command]).returncode
    if status:
        sys.exit(status)


def evaluate(models, truth, out, jobs=2):
    """Compare the masks of models, folders by name, with true ones."""
    run("bids_stroke.cli.evaluate", *(f"{name}={folder}" for name, folder in models.items()),
        truth, out, "--nprocs", jobs)  # fmt: skip


def start_dataset(root, name):
    """Make the folder of a BIDS dataset with its description; returns the folder."""
    root.mkdir(parents=True, exist_ok=True)
    description = {"Name": name, "BIDSVersion": "1.10.0"}
    (root / "dataset_description.json").write_text(json.dumps(description))
    return root


def write_section(name, text, page=RESULTS):
    """Replace a section of a page, or add it at the end.

    Parameters
    ----------
    name : str
        Name in the comments around the section.
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


def published_tables(folder, *names):
    """The tables of an evaluation in Markdown, each below a description."""
    from bids_stroke.evaluation import published_tables as tables

    parts = []
    for name in names:
        doc = " ".join(getattr(tables, name.lower()).__doc__.split())
        title = name.replace("_table", ", Table ")
        parts.append(f"### {title}\n\n{doc}\n\n{(Path(folder) / 'tables' / f'{name}.md').read_text()}")
    return "\n".join(parts)


def claims(folder, expected):
    """Whether models came out in the order that their papers found, by Dice, as a list.

    Parameters
    ----------
    folder : Path
        Folder of an evaluation.
    expected : sequence of (str, str, str)
        What the paper claims, the better model, the worse.
    """
    scores = pd.read_csv(Path(folder) / "evaluation.tsv", sep="\t").groupby("model")["dice"].mean()
    compared = pd.read_csv(Path(folder) / "evaluation_comparisons.tsv", sep="\t")
    lines = []
    for words, better, worse in expected:
        row = compared.query(
            "score == 'dice' and a in @both and b in @both", local_dict={"both": (better, worse)}
        )
        verdict = "came out" if scores[better] > scores[worse] else "did not come out"
        lines.append(
            f"- {words}: {verdict} ({better} {scores[better]:.3f}, {worse} {scores[worse]:.3f}, "
            f"p = {row['p'].item():.2g})"
        )
    return "\n".join(lines)
