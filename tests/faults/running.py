"""Run the app from the command line, and collect results of the tests of invalid input and faults."""

import json
import os
import re
import subprocess
import sys

import bidsets
import nibabel as nib
import numpy as np
from faults import inputs

from bids_stroke.bids import record
from bids_stroke.qc import checks
from bids_stroke.spatial import transforms


class Table:
    """Rows of docs/reliability.md: case, exit status, message and outputs."""

    def __init__(self):
        self.rows = {}

    def add(self, kind, case, status, seen, written):
        """Add a case; local paths and times are removed from the message."""
        seen = re.sub(r"^[\d-]{10} [\d:]{8} ", "", seen)
        seen = re.sub(r"/\S*/(?=[\w.*-]+)", "…/", seen).replace("|", "\\|").replace("<", "&lt;")
        self.rows.setdefault(kind, []).append((case, str(status), seen.strip(), written))

    def write(self, path):
        """Replace the rows of a page."""
        lines = []
        for kind, rows in self.rows.items():
            lines += [f"### {kind}: {len(rows)}", ""]
            lines += ["| case | status | what the user sees | written |", "|---|---|---|---|"]
            lines += [*(f"| {' | '.join(row)} |" for row in rows), ""]
        text = _replaced(path.read_text(), "cases", lines)
        path.write_text(_replaced(text, "checks", checks_table()))


def _replaced(text, name, lines):
    """Replace the lines of a page between two marks."""
    start, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before, rest = text.split(start)
    return "\n".join([before + start, "", *lines, "", end + rest.split(end)[1]])


def checks_table():
    """Return the lines of the table of QC checks."""
    lines = ["| check | passes | why |", "|---|---|---|"]
    for name, check in checks.CHECKS.items():
        lower = f"{check.low:g} ≤ " if check.low > 0 else ""
        upper = f" ≤ {check.high:g}" if np.isfinite(check.high) else ""
        lines.append(f"| `{name}` | {lower}`{check.measure}`{upper} | {check.reason} |")
    return lines + [f"| `{name}` | | {passes} |" for name, passes in checks.OTHER_CHECKS.items()]


def run(*arguments, prefix=(), **environment):
    """Run ``bids_stroke`` and check that it prints no traceback."""
    done = subprocess.run(
        command(*arguments, prefix=prefix),
        capture_output=True,
        text=True,
        errors="replace",
        env=os.environ | environment,
    )
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    return done


def command(*arguments, prefix=()):
    """Return the command line of the app."""
    return [*prefix, sys.executable, "-m", "bids_stroke", *map(str, arguments)]


def last_line(done):
    """Return the last line that the user sees."""
    return (done.stderr.strip() or done.stdout.strip()).splitlines()[-1]


def check_complete_files(out):
    """Check all files under final names, and that complete sessions have all of their files."""
    for path in out.rglob("*"):
        parts = path.relative_to(out).parts
        if parts[0] == "work" or not path.is_file() or any(".partial" in part for part in parts):
            continue
        if path.name.endswith(".nii.gz"):
            nib.load(path).get_fdata()
        elif path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".tsv":
            lines = path.read_text().splitlines()
            assert len({line.count("\t") for line in lines}) == 1, path
        elif path.suffix in (".html", ".svg"):
            assert path.read_text().rstrip().endswith(f"</{path.suffix[1:]}>"), path
    for entry in record.read_all(out):
        assert entry.status != "ok" or entry.complete(out), entry.name


def masks(root, *labels):
    """Create a dataset of lesion masks in template space, which needs no registration."""
    bidsets.empty_dataset(root)
    for label in labels:
        inputs.in_template(lambda mask: mask)(root / f"sub-{label}", label)
    return root


def participant(bids, out):
    """Return the arguments of a run of such a dataset."""
    return [bids, out, "participant", "--lesion-derivatives", bids]


def differences(out, other):
    """Return the names of images, tables and descriptions that differ between two output folders."""
    first, second = (_contents(folder) for folder in (out, other))
    return sorted(name for name in {*first, *second} if first.get(name) != second.get(name))


def _contents(folder):
    endings = (".nii.gz", ".tsv", ".json", ".h5", ".mat", "README", ".bidsignore", ".md", ".bib")
    return {
        path.relative_to(folder).as_posix(): _content(path)
        for path in folder.rglob("*")
        if path.is_file()
        and path.name.endswith(endings)
        and path.relative_to(folder).parts[0] not in ("work", "logs")
    }


def _content(path):
    """Return the content of a file for comparison.

    Transforms are compared by mapped points, since their files contain the time of writing.
    Descriptions are compared without source links, which depend on the path.
    """
    if path.name == "dataset_description.json":
        content = json.loads(path.read_text())
        return {key: content[key] for key in content if key not in ("SourceDatasets", "DatasetLinks")}
    if path.suffix != ".h5":
        return path.read_bytes()
    points = np.random.default_rng(0).uniform(-60, 60, (500, 3))
    return transforms.move_points(points, [path]).tobytes()
