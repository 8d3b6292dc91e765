"""Record of a session: its inputs, its outputs by role, and its status.

A second run skips the sessions whose record is complete. The reports and the group level find the files
of a session through its record.
"""

import hashlib
import json
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bids_stroke import __version__
from bids_stroke.errors import DatasetError, UsageError
from bids_stroke.utils.contents import Contents, read_contents
from bids_stroke.utils.files import PathLike

from . import logs
from .derivatives import write_json
from .names import has_labels, sidecar_of, split_session_name
from .sessions import Session
from .source_datasets import SourceDatasets
from .supplied_masks import SuppliedMask

_AT = "@"  # separates the kind and the place of a role
#: Value of ``model`` in the record of a session with a user-supplied lesion mask.
SUPPLIED_MASKS = "own masks"
#: Names of the masks in ``inputs`` of a record.
LESION_MASK, CORRECTED_MASK = "lesion mask", "corrected mask"
#: Status of a session whose run has not ended.
UNFINISHED = "unfinished"
#: Error of a session without a record.
_UNFINISHED_ERROR = "its run did not finish, or its record is damaged; run the participant level again."


def role(kind: str, place: str | None = None) -> str:
    """Return the role of an output: its kind, and its place (a contrast, template space or atlas).

    Outputs on the grid of the reference image have no place.

    >>> role("lesion_mask"), role("lesion_mask", "FLAIR")
    ('lesion_mask', 'lesion_mask@FLAIR')
    """
    return f"{kind}{_AT}{place}" if place else kind


def model_title(model: str | None) -> str | None:
    """Return the text of the reports for the ``model`` of a record.

    >>> model_title("own masks"), model_title("simstroke")
    ('user-supplied masks', 'simstroke')
    """
    return "user-supplied masks" if model == SUPPLIED_MASKS else model


@dataclass
class Record:
    """Inputs, outputs and status of a session.

    ``status`` is ``ok``, ``failed`` or :data:`bids_stroke.bids.record.UNFINISHED`. ``identity`` is a
    checksum of everything that the outputs depend on. ``contents`` and ``status_of_inputs`` describe
    the input files (:class:`bids_stroke.utils.contents.Contents`). ``outputs`` maps the :func:`role`
    of each output to its path, relative to the output folder. ``description`` is the methods text,
    ``materials`` lists models, tracts and atlases with license and citation, and ``versions`` maps the
    packages that were called to their versions. ``error`` is a sentence. ``steps`` maps steps to
    seconds. ``flags`` maps each failed QC check to a description. ``ambiguous`` contains the ``notes``
    on choices that the names and headers of the files do not determine. ``command`` is the command
    line, and ``date`` the start of the session (ISO 8601). ``corrected_by`` and ``corrected_on`` are
    the rater and the date of a corrected lesion mask. ``segmentation`` contains checksums
    (:mod:`bids_stroke.bids.reusable`).
    """

    name: str
    identity: str
    status: str = "failed"
    error: str | None = None
    model: str | None = None
    weights_sha256: str | None = None
    reference: str | None = None
    contrasts: list[str] = field(default_factory=list)
    inputs: dict[str, str] = field(default_factory=dict)
    contents: dict[str, str | None] = field(default_factory=dict)
    status_of_inputs: dict[str, list[int]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    ambiguous: list[str] = field(default_factory=list)
    flags: dict[str, str] = field(default_factory=dict)
    description: str = ""
    materials: list[str] = field(default_factory=list)
    outputs: dict[str, str] = field(default_factory=dict)
    lesion_volume_ml: float | None = None
    steps: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    command: str = ""
    date: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    corrected_by: str | None = None
    corrected_on: str | None = None
    segmentation: dict[str, str] = field(default_factory=dict)

    def complete(self, output_dir: PathLike) -> bool:
        """Return whether the session succeeded and all of its outputs exist."""
        paths = map(Path(output_dir).joinpath, self.outputs.values())
        return self.status == "ok" and all(path.is_file() for path in paths)

    def path(self, output_dir: PathLike, kind: str, place: str | None = None) -> Path | None:
        """Return the path of an output by its role, or None."""
        relative = self.outputs.get(role(kind, place))
        return Path(output_dir) / relative if relative else None

    def require(self, output_dir: PathLike, kind: str, place: str | None = None) -> Path:
        """Return the path of an output by its role.

        Raises
        ------
        DatasetError
            If the session has no such output.
        """
        path = self.path(output_dir, kind, place)
        if path is None:
            record = logs.record_path(output_dir, self.name)
            raise DatasetError(
                f"{record} lists no output {role(kind, place)}; run the participant level again."
            )
        return path

    def paths(self, output_dir: PathLike, kind: str) -> dict[str, Path]:
        """Return the paths of all outputs of a kind that have a place, by place."""
        start = kind + _AT
        return {
            name.removeprefix(start): Path(output_dir) / relative
            for name, relative in self.outputs.items()
            if name.startswith(start)
        }

    def files(self, output_dir: PathLike) -> Iterator[tuple[str, Path]]:
        """Yield the kind and path of each existing output."""
        for name, relative in self.outputs.items():
            path = Path(output_dir) / relative
            if path.is_file():
                yield name.partition(_AT)[0], path

    def write(self, output_dir: PathLike) -> Path:
        """Write the record atomically."""
        return write_json(asdict(self), logs.record_path(output_dir, self.name))


def write_unfinished(record: Record, output_dir: PathLike) -> None:
    """Write the record of a session that starts, with the files that it may write."""
    Record(
        record.name,
        record.identity,
        UNFINISHED,
        _UNFINISHED_ERROR,
        record.model,
        outputs=record.outputs,
    ).write(output_dir)


def invalidate(output_dir: PathLike, name: str) -> None:
    """Mark the record of a session as unfinished; the record still lists the existing files."""
    path = logs.record_path(output_dir, name)
    if path.exists():
        path.read_bytes()  # raises an error with the path if it is not a regular file
        paths = enumerate(_listed_files(output_dir, name, name))
        outputs = {str(number): str(path.relative_to(output_dir)) for number, path in paths}
        write_unfinished(Record(name, "", outputs=outputs), output_dir)


def remove(
    output_dir: PathLike, name: str, keep: Container[Path] = (), owner: str | None = None
) -> None:
    """Remove the outputs of an earlier run of a session, and then its record.

    Only files in the record are removed, whichever version wrote it, except those in ``keep``.
    A session without a record counts as failed. The names of the files start with ``owner``, by default
    the name of the session.
    """
    for path in _listed_files(output_dir, name, owner or name):
        if path not in keep:
            path.unlink(missing_ok=True)
            sidecar_of(path).unlink(missing_ok=True)
    logs.crash_path(output_dir, name).unlink(missing_ok=True)
    logs.record_path(output_dir, name).unlink(missing_ok=True)


def _listed_files(output_dir: PathLike, name: str, owner: str) -> Iterator[Path]:
    """Yield the existing files in a record whose names start with that of their owner, whichever
    version wrote the record."""
    try:
        outputs = json.loads(logs.record_path(output_dir, name).read_text())["outputs"]
    except (OSError, ValueError, TypeError, KeyError):
        return
    participant, _ = split_session_name(owner)
    for relative in outputs.values() if isinstance(outputs, dict) else outputs:
        parts = Path(str(relative)).parts
        is_output = (
            parts[:1] == (participant,) and ".." not in parts and parts[-1].startswith(f"{owner}_")
        )
        if is_output and (path := Path(output_dir, *parts)).is_file():
            yield path


def read(output_dir: PathLike, name: str) -> Record | None:
    """Read the record of a session; return None if this version cannot read it."""
    try:
        record = Record(**json.loads(logs.record_path(output_dir, name).read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return record if isinstance(record.outputs, dict) else None


def read_all(output_dir: PathLike) -> list[Record]:
    """Read the records of all sessions, sorted by name.

    A session that was started and left no record, for example because its run was killed, gets a record
    with an error.
    """
    names = {*logs.started(output_dir), *logs.recorded(output_dir)}
    return [
        read(output_dir, name) or Record(name, "", error=_UNFINISHED_ERROR) for name in sorted(names)
    ]


def read_selected(
    output_dir: PathLike, participants: Sequence[str] = (), sessions: Sequence[str] = ()
) -> list[Record]:
    """Read the records of the sessions with the given labels, sorted by name; all by default.

    Raises
    ------
    UsageError
        If the folder has no session of a given participant, or with a given session label.
    """
    records = read_all(output_dir)
    requested = {"participant": (participants, "sub-"), "session": (sessions, "ses-")}
    for column, (kind, (labels, prefix)) in enumerate(requested.items()):
        available = {split_session_name(record.name)[column] for record in records}
        unknown = [label for label in labels if prefix + label not in available]
        if unknown:
            raise UsageError(f"{output_dir} has no {kind} {', '.join(unknown)}; check --{kind}-label.")
    return [record for record in records if has_labels(record.name, participants, sessions)]


def restrict_to_records(
    folder: Path, masks: Mapping[tuple[str, str | None], list[SuppliedMask]]
) -> dict[tuple[str, str | None], list[SuppliedMask]]:
    """Restrict the masks of an output folder to those in the records of complete sessions.

    The masks of any other folder are all returned.
    """
    if not logs.recorded(folder):
        return dict(masks)
    complete = (record for record in read_all(folder) if record.complete(folder))
    listed = {
        path for record in complete for kind, path in record.files(folder) if kind == "lesion_mask"
    }
    selected = {
        key: [mask for mask in several if mask.path in listed] for key, several in masks.items()
    }
    return {key: several for key, several in selected.items() if several}


def read_participant(output_dir: PathLike, subject: str) -> list[Record]:
    """Read the records of the finished sessions of a participant (``sub-XX``), sorted by name."""
    return read_finished(output_dir, logs.recorded(output_dir, subject))


def read_finished(output_dir: PathLike, names: Sequence[str]) -> list[Record]:
    """Read the records of the sessions among ``names`` that have ended."""
    records = (read(output_dir, name) for name in names)
    return [record for record in records if record and record.status != UNFINISHED]


def read_inputs(session: Session, sources: SourceDatasets, previous: Record | None = None) -> Contents:
    """Read the contents of the images and masks of a session, by their URIs in the source datasets.

    Parameters
    ----------
    session : Session
    sources : SourceDatasets
    previous : Record, optional
        Record of an earlier run. Files that have not been modified since are not read again.
    """
    sidecars = session.correction.sidecars if session.correction else []
    files = [*session.images.values(), *session.masks, *sidecars]
    earlier = Contents(previous.contents, previous.status_of_inputs) if previous else None
    return read_contents({sources.uri(path): path for path in files}, earlier)


def identity(contents: Contents, **settings: object) -> str:
    """Return the checksum of everything that the outputs of a session depend on.

    It depends on the contents of the inputs and their paths in the dataset, but not on where the
    dataset is mounted nor on modification times.
    """
    content = {"version": __version__, "files": contents.keys, **settings}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
