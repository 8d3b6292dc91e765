"""The app as a user starts it, and what the tests of bad input and faults find."""

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
    """Rows of docs/reliability.md: what was given, what the user saw, what was written."""

    def __init__(self):
        self.rows = {}

    def add(self, kind, case, status, seen, written):
        """Add a case; paths of this machine and times are left out of what was seen."""
        seen = re.sub(r"^[\d-]{10} [\d:]{8} ", "", seen)
        seen = re.sub(r"/\S*/(?=[\w.*-]+)", "…/", seen).replace("|", "\\|").replace("<", "&lt;")
        self.rows.setdefault(kind, []).append((case, str(status), seen.strip(), written))

    def write(self, path):
        """Put the rows in the place of those that a page has."""
        lines = []
        for kind, rows in self.rows.items():
            lines += [f"### {kind}: {len(rows)}", ""]
            lines += ["| case | status | what the user sees | written |", "|---|---|---|---|"]
            lines += [*(f"| {' | '.join(row)} |" for row in rows), ""]
        text = _replaced(path.read_text(), "cases", lines)
        path.write_text(_replaced(text, "gates", gates_table()))


def _replaced(text, name, lines):
    """A page with other lines between two marks."""
    start, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before, rest = text.split(start)
    return "\n".join([before + start, "", *lines, "", end + rest.split(end)[1]])


def gates_table():
    """Lines of the table of the sanity gates."""
    lines = ["| gate | passes | why |", "|---|---|---|"]
    for name, gate in checks.CHECKS.items():
        least = f"{gate.low:g} ≤ " if gate.low > 0 else ""
        most = f" ≤ {gate.high:g}" if np.isfinite(gate.high) else ""
        lines.append(f"| `{name}` | {least}`{gate.measure}`{most} | {gate.reason} |")
    return lines + [f"| `{name}` | | {passes} |" for name, passes in checks.OTHER_CHECKS.items()]


def run(*arguments, prefix=(), **environment):
    """Run ``bids_stroke`` to its end; no user's mistake and no fault may end in a traceback."""
    done = subprocess.run(
        command(*arguments, prefix=prefix),
        capture_output=True, text=True, errors="replace", env=os.environ | environment,
    )  # fmt: skip
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    return done


def command(*arguments, prefix=()):
    """The command line of the app."""
    return [*prefix, sys.executable, "-m", "bids_stroke", *map(str, arguments)]


def last_line(done):
    """What the user sees at the end."""
    return (done.stderr.strip() or done.stdout.strip()).splitlines()[-1]


def nothing_half_written(out):
    """Check every file under a final name, and that each complete session has all of its files."""
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
    for known in record.read_all(out):
        assert known.status != "ok" or known.complete(out), known.name


def masks(root, *labels):
    """A dataset of lesion masks in the template's space: sessions of which nothing is registered."""
    bidsets.empty_dataset(root)
    for label in labels:
        inputs.in_template(lambda mask: mask)(root / f"sub-{label}", label)
    return root


def participant(bids, out):
    """Arguments of a run of such a dataset."""
    return [bids, out, "participant", "--lesion-derivatives", bids]


def differences(out, other):
    """Names of the images, tables and descriptions that two output folders do not have alike."""
    found = [_kept(folder) for folder in (out, other)]
    return sorted(name for name in {*found[0], *found[1]} if found[0].get(name) != found[1].get(name))


def _kept(folder):
    ends = (".nii.gz", ".tsv", ".json", ".h5", ".mat", "README", ".bidsignore", "CITATION.md")
    return {
        path.relative_to(folder).as_posix(): _content(path)
        for path in folder.rglob("*")
        if path.is_file()
        and path.name.endswith(ends)
        and path.relative_to(folder).parts[0] not in ("work", "logs")
    }


def _content(path):
    """What counts of a file: its bytes; of a transform, whose file holds the time of writing, where it
    carries points to; of a description, all but the links to the sources, which depend on the place."""
    if path.name == "dataset_description.json":
        content = json.loads(path.read_text())
        return {key: content[key] for key in content if key not in ("SourceDatasets", "DatasetLinks")}
    if path.suffix != ".h5":
        return path.read_bytes()
    points = np.random.default_rng(0).uniform(-60, 60, (500, 3))
    return transforms.move_points(points, [path]).tobytes()
