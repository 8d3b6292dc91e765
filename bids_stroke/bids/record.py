"""The record of a session: its inputs, its outputs by role, and how it ended.

A second run skips sessions whose record is complete; the reports and the group level take the files of
a session from its record.
"""

import hashlib
import json
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bids_stroke import __version__
from bids_stroke.errors import DatasetError
from bids_stroke.utils.contents import Contents, read_contents
from bids_stroke.utils.files import PathLike

from . import logs
from .derivatives import write_json
from .names import has_labels, sidecar_of, split_session_name
from .sessions import Session
from .source_datasets import SourceDatasets
from .supplied_masks import SuppliedMask

_AT = "@"  # between kind and place of a role
#: Status of a session whose run has not ended.
UNFINISHED = "unfinished"
#: Why a session failed that left no record.
_NO_END = "its run did not end, or its record is damaged; run the participant level again."


def role(kind: str, place: str | None = None) -> str:
    """Role of an output: its kind, and the contrast, template space or atlas where it belongs.

    Outputs on the grid of the reference image have no place.

    >>> role("lesion_mask"), role("lesion_mask", "FLAIR")
    ('lesion_mask', 'lesion_mask@FLAIR')
    """
    return f"{kind}{_AT}{place}" if place else kind


@dataclass
class Record:
    """How a session ended.

    ``status`` is ``ok``, ``failed`` or :data:`bids_stroke.bids.record.UNFINISHED`; ``identity`` is a
    checksum of everything that the outputs depend on; ``contents`` and ``status_of_inputs`` belong to
    the input files (:class:`bids_stroke.utils.contents.Contents`); ``outputs`` maps the :func:`role` of
    each output to its path, relative to the output folder; ``error`` is a sentence, ``steps`` are
    seconds per step, ``flags`` the QC checks that the session failed, with all that is wrong by each;
    ``ambiguous`` are those of the ``notes`` on a choice of files that the files leave open.
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
    outputs: dict[str, str] = field(default_factory=dict)
    lesion_volume_ml: float | None = None
    steps: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    versions: dict[str, str] = field(default_factory=dict)

    def complete(self, output_dir: PathLike) -> bool:
        """Whether the session succeeded and all of its outputs still exist."""
        paths = map(Path(output_dir).joinpath, self.outputs.values())
        return self.status == "ok" and all(path.is_file() for path in paths)

    def path(self, output_dir: PathLike, kind: str, place: str | None = None) -> Path | None:
        """Path of an output by its role; None without one."""
        relative = self.outputs.get(role(kind, place))
        return Path(output_dir) / relative if relative else None

    def require(self, output_dir: PathLike, kind: str, place: str | None = None) -> Path:
        """Path of an output by its role.

        Raises
        ------
        DatasetError
            If the session has no such output.
        """
        path = self.path(output_dir, kind, place)
        if path is None:
            listing = logs.record_path(output_dir, self.name)
            raise DatasetError(
                f"{listing} lists no {role(kind, place)}; run the participant level again."
            )
        return path

    def paths(self, output_dir: PathLike, kind: str) -> dict[str, Path]:
        """Paths of all outputs of a kind that have a place, by that place."""
        start = kind + _AT
        return {
            name.removeprefix(start): Path(output_dir) / relative
            for name, relative in self.outputs.items()
            if name.startswith(start)
        }

    def files(self, output_dir: PathLike) -> Iterator[tuple[str, Path]]:
        """Kind and path of each output that exists."""
        for name, relative in self.outputs.items():
            path = Path(output_dir) / relative
            if path.is_file():
                yield name.partition(_AT)[0], path

    def write(self, output_dir: PathLike) -> Path:
        """Write the record under its name, atomically."""
        return write_json(asdict(self), logs.record_path(output_dir, self.name))


def write_unfinished(record: Record, output_dir: PathLike) -> None:
    """Write the record of a session that starts: it lists the files that the session may leave."""
    Record(
        record.name, record.identity, UNFINISHED, _NO_END, record.model, outputs=record.outputs
    ).write(output_dir)


def invalidate(output_dir: PathLike, name: str) -> None:
    """Replace the record of a session by one of a session that has not ended, which lists its files."""
    path = logs.record_path(output_dir, name)
    if path.exists():
        path.read_bytes()  # raises an error with the path of what is not a regular file
        paths = enumerate(_listed_files(output_dir, name))
        outputs = {str(number): str(path.relative_to(output_dir)) for number, path in paths}
        write_unfinished(Record(name, "", outputs=outputs), output_dir)


def remove(output_dir: PathLike, name: str, keep: Container[Path] = ()) -> None:
    """Remove the outputs of an earlier run of a session, and then its record.

    Only files that the record lists are removed, whichever version wrote it, and none of ``keep``.
    Without a record, the session counts as failed.
    """
    for path in _listed_files(output_dir, name):
        if path not in keep:
            path.unlink(missing_ok=True)
            sidecar_of(path).unlink(missing_ok=True)
    logs.crash_path(output_dir, name).unlink(missing_ok=True)
    logs.record_path(output_dir, name).unlink(missing_ok=True)


def _listed_files(output_dir: PathLike, name: str) -> Iterator[Path]:
    """Existing files of a session that its record lists, whichever version wrote the record."""
    try:
        outputs = json.loads(logs.record_path(output_dir, name).read_text())["outputs"]
    except (OSError, ValueError, TypeError, KeyError):
        return
    participant, _ = split_session_name(name)
    for relative in outputs.values() if isinstance(outputs, dict) else outputs:
        parts = Path(str(relative)).parts
        own = parts[:1] == (participant,) and ".." not in parts and parts[-1].startswith(f"{name}_")
        if own and (path := Path(output_dir, *parts)).is_file():
            yield path


def read(output_dir: PathLike, name: str) -> Record | None:
    """Read the record of a session; None if it is missing, or unreadable for this version."""
    try:
        record = Record(**json.loads(logs.record_path(output_dir, name).read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return record if isinstance(record.outputs, dict) else None


def read_all(output_dir: PathLike) -> list[Record]:
    """Records of all sessions, in order of name.

    A session that was started and left no record, as in a run that was killed, has a record that
    says so.
    """
    names = {*logs.started(output_dir), *logs.recorded(output_dir)}
    return [read(output_dir, name) or Record(name, "", error=_NO_END) for name in sorted(names)]


def read_selected(
    output_dir: PathLike, participants: Sequence[str] = (), sessions: Sequence[str] = ()
) -> list[Record]:
    """Records of the sessions with the given labels, in order of name; all by default.

    Raises
    ------
    DatasetError
        If the folder has no session of a participant, or with a session label, that is given.
    """
    records = read_all(output_dir)
    given = {"participant": (participants, "sub-"), "session": (sessions, "ses-")}
    for column, (kind, (labels, prefix)) in enumerate(given.items()):
        available = {split_session_name(record.name)[column] for record in records}
        unknown = [label for label in labels if prefix + label not in available]
        if unknown:
            raise DatasetError(
                f"{output_dir} has no {kind} {', '.join(unknown)}; check --{kind}-label."
            )
    return [record for record in records if has_labels(record.name, participants, sessions)]


def restrict_to_records(
    folder: Path, masks: Mapping[tuple[str, str | None], list[SuppliedMask]]
) -> dict[tuple[str, str | None], list[SuppliedMask]]:
    """Of the masks of an output folder, those that the records of complete sessions list; all of any
    other folder."""
    if not logs.recorded(folder):
        return dict(masks)
    complete = (record for record in read_all(folder) if record.complete(folder))
    listed = {path for record in complete for _, path in record.files(folder)}
    kept = {key: [mask for mask in several if mask.path in listed] for key, several in masks.items()}
    return {key: several for key, several in kept.items() if several}


def read_participant(output_dir: PathLike, subject: str) -> list[Record]:
    """Records of the sessions of one participant, ``sub-XX``, that have ended, in order of name."""
    records = (read(output_dir, name) for name in logs.recorded(output_dir, subject))
    return [record for record in records if record and record.status != UNFINISHED]


def read_inputs(session: Session, sources: SourceDatasets, known: Record | None = None) -> Contents:
    """Contents of the images and masks of a session, by their names in the source datasets.

    Parameters
    ----------
    session : Session
    sources : SourceDatasets
    known : Record, optional
        That of an earlier run: files that have not been touched since are not read again.
    """
    supplied = [session.brain_mask, session.lesion.path if session.lesion else None]
    files = [*session.images.values(), *(path for path in supplied if path)]
    earlier = Contents(known.contents, known.status_of_inputs) if known else None
    return read_contents({sources.uri(path): path for path in files}, earlier)


def identity(contents: Contents, **settings: object) -> str:
    """Checksum of everything that the outputs of a session depend on.

    Inputs count by their contents and their names in the dataset, neither by the place where the
    dataset is mounted nor by a time.
    """
    content = {"version": __version__, "files": contents.keys, **settings}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
