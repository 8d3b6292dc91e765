"""The record of a session: what it was made from, what it made, how it ended.

A record lets a second run skip what is done, and lets the reports and the group level tell what
happened, from the derivatives alone.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bids_stroke import __version__
from bids_stroke.utils.files import stamp

from .derivatives import write_json

#: Why a session failed that left no record.
_NO_END = "its run did not end, or its record is damaged; run the participant level again."


@dataclass
class Record:
    """How a session ended.

    ``identity`` is a checksum of everything that the outputs depend on; ``outputs`` are relative
    to the output folder; ``error`` is a sentence, ``steps`` are seconds per step, ``flags`` the sanity
    gates that the session failed, with a sentence on each.
    """

    name: str
    identity: str
    status: str = "failed"
    error: str | None = None
    model: str | None = None
    weights_sha256: str | None = None
    reference: str | None = None
    contrasts: list = field(default_factory=list)
    inputs: dict = field(default_factory=dict)
    notes: list = field(default_factory=list)
    flags: dict = field(default_factory=dict)
    description: str = ""
    outputs: list = field(default_factory=list)
    steps: dict = field(default_factory=dict)
    seconds: float = 0.0
    versions: dict = field(default_factory=dict)

    def complete(self, output_dir):
        """Tell whether the session ended well and everything is still there."""
        return self.status == "ok" and all((Path(output_dir) / path).is_file() for path in self.outputs)

    def write(self, output_dir):
        """Write the record under its name, atomically."""
        return write_json(asdict(self), path_of(output_dir, self.name))


def path_of(output_dir, name):
    """Where the record of a session is."""
    return Path(output_dir) / "logs" / f"{name}_run.json"


def read(output_dir, name):
    """Read the record of a session; None if there is none that this version understands."""
    try:
        return Record(**json.loads(path_of(output_dir, name).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def read_all(output_dir):
    """Records of all sessions, in order of name; of those that were started and left none, such as
    sessions of a run that was killed, a record of that."""
    logs = Path(output_dir) / "logs"
    started = {path.stem for path in logs.glob("sub-*.log") if not path.stem.endswith("_run")}
    names = started | {path.name.removesuffix("_run.json") for path in logs.glob("sub-*_run.json")}
    return [read(output_dir, name) or Record(name, "", error=_NO_END) for name in sorted(names)]


def read_participant(output_dir, subject):
    """Records of the sessions of one participant, ``sub-XX``, in order of name."""
    logs = Path(output_dir) / "logs"
    paths = [*logs.glob(f"{subject}_run.json"), *sorted(logs.glob(f"{subject}_ses-*_run.json"))]
    found = (read(output_dir, path.name.removesuffix("_run.json")) for path in paths)
    return [record for record in found if record]


def identity(session, **settings):
    """Checksum of what the outputs of a session depend on.

    Images count by size and time of change: reading a large dataset would take minutes.
    """
    own = [session.brain_mask, session.lesion and session.lesion.path]
    files = [*session.images.values(), *filter(None, own)]
    content = {
        "version": __version__,
        "files": {str(path): stamp(path) for path in files},
        **settings,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
