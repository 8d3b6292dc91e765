"""Export of the lesions of a cohort for lesion-symptom mapping programs, fMRIPrep and statistics."""

from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from bids_stroke.bids.derivatives import write_tsv
from bids_stroke.bids.names import folder_of, join_session_name, split_session_name
from bids_stroke.bids.record import Record, read_selected
from bids_stroke.errors import DatasetError
from bids_stroke.qc.ratings import KEYS, REJECT
from bids_stroke.spatial import image
from bids_stroke.utils import files
from bids_stroke.utils.files import PathLike
from bids_stroke.utils.spreadsheet import write_workbook

from . import behavior, table
from .participants import read_keyed_table

#: Columns that the export adds, and the names of columns of ``participants.tsv`` with these names.
_MASK, _CODE = "lesion_mask", "RegistryCode"
_RENAMED = {name: f"participants_{name}" for name in (_MASK, _CODE)}
#: Line of ``.bidsignore`` that fMRIPrep's documentation requires for lesion masks.
_IGNORED_ROIS = "*lesion_roi.nii.gz\n"


@dataclass
class Cohort:
    """Sessions to export.

    Attributes
    ----------
    output_dir : Path
        Output folder of bids_stroke.
    rows : pandas.DataFrame
        Row of the group table of each session, with the columns of ``participants.tsv``.
    records : list of Record
        Record of each row.
    people : list of str
        Columns of ``participants.tsv``.
    omitted : dict of str to str
        Reason why a session is not exported, by session name.
    notices : list of str
        Sentences for the user.
    """

    output_dir: Path
    rows: pd.DataFrame
    records: list[Record]
    people: list[str]
    omitted: dict[str, str]
    notices: list[str] = field(default_factory=list)

    def omit(self, reasons: Sequence[str | None]) -> None:
        """Remove the sessions that have a reason.

        Raises
        ------
        DatasetError
            If no session remains.
        """
        names = [record.name for record in self.records]
        self.omitted |= {
            name: reason for name, reason in zip(names, reasons, strict=True) if reason is not None
        }
        _require_some(self.output_dir, names, self.omitted)
        self.rows = self.rows[[reason is None for reason in reasons]].reset_index(drop=True)
        self.records = [record for record in self.records if record.name not in self.omitted]


def export(
    output_dir: PathLike, destination: PathLike, program: str, sessions: Sequence[str] = ()
) -> Cohort:
    """Export the sessions of the group level.

    Parameters
    ----------
    output_dir : path
        Output folder of bids_stroke.
    destination : path
        New folder.
    program : str
        Key of :data:`bids_stroke.cohort.export.FORMATS`.
    sessions : sequence of str
        Labels of the sessions to export, without ``ses-``; all by default.

    Returns
    -------
    Cohort

    Raises
    ------
    DatasetError
        If the group level has not run, or no session can be exported.
    UsageError
        If ``destination`` is not an empty folder, or there is no session with a given label.
    """
    with files.new_folder(destination) as folder:
        cohort = collect(output_dir, sessions)
        FORMATS[program](cohort, folder)
        if cohort.omitted:
            keys = map(split_session_name, cohort.omitted)
            omitted = pd.DataFrame(keys, columns=KEYS).assign(reason=list(cohort.omitted.values()))
            write_tsv(omitted.replace("", "n/a"), folder / "omitted.tsv")
    return cohort


def collect(output_dir: PathLike, sessions: Sequence[str] = ()) -> Cohort:
    """Collect the sessions that the group level includes, with their measures and the columns of
    ``participants.tsv`` in the group table.

    Parameters
    ----------
    output_dir, sessions
        See :func:`bids_stroke.cohort.export.export`.

    Raises
    ------
    DatasetError
        If the group level has not run, or no session can be exported.
    """
    output_dir = Path(output_dir)
    path = output_dir / "group_lesion.tsv"
    if not path.is_file():
        raise DatasetError(f"{path} does not exist; run the group level first.")
    group = _read_sessions(path).rename(columns=_RENAMED)
    records = read_selected(output_dir, sessions=sessions)
    reasons = _reasons(output_dir, records, group.index)
    usable = [record for record in records if record.name not in reasons]
    _require_some(output_dir, [record.name for record in records], reasons)
    rows, measured, failed = table.collect(output_dir, usable)
    reasons |= {record.name: str(record.error) for record in failed}
    people = [str(name) for name in group if name not in rows]
    described = group[people].reindex([record.name for record in measured]).set_axis(rows.index)
    rows = rows.join(described.apply(behavior.numbers_if_possible))
    return Cohort(output_dir, rows, measured, people, reasons)


def _reasons(output_dir: Path, records: Sequence[Record], included: Container[str]) -> dict[str, str]:
    """Return the reasons why sessions are not part of the group level, by session name."""
    ratings = output_dir / "group_ratings.tsv"
    rejected = set[str]()
    if ratings.is_file():
        rated = _read_sessions(ratings)
        rejected = set(rated.index[rated["rating"] == REJECT])
    reasons = {}
    for record in records:
        if not record.complete(output_dir):
            missing = "its outputs are missing; run the participant level again."
            reasons[record.name] = record.error or missing
        elif record.name in rejected:
            reasons[record.name] = f"it is rejected in {ratings.name}."
        elif record.name not in included:
            reasons[record.name] = "it is not in group_lesion.tsv; run the group level again."
    return reasons


def _require_some(output_dir: Path, names: Sequence[str], reasons: dict[str, str]) -> None:
    """Raise an error if all sessions have a reason not to be exported."""
    if all(name in reasons for name in names):
        first = "".join(f" ({name}: {reasons[name].rstrip('.')})" for name in names[:1])
        raise DatasetError(f"{output_dir} has no session that can be exported{first}.")


def _read_sessions(path: Path) -> pd.DataFrame:
    """Read a table with a row for each session; the index contains the session names."""
    rows = read_keyed_table(path, KEYS[:1], KEYS[1:])
    keys = rows.reindex(columns=KEYS).fillna("").itertuples(index=False, name=None)
    return rows.set_axis([join_session_name(*key) for key in keys])


def _select_first_sessions(cohort: Cohort) -> None:
    """Omit all but the first session of each participant."""
    first = table.first_sessions(cohort.rows)
    reason = "another session of the participant is exported; choose one with --session-label."
    cohort.omit([None if is_first else reason for is_first in first])


def _select_t1w_masks(cohort: Cohort) -> None:
    """Omit the sessions without a lesion on the grid of a T1w."""

    def reason(record: Record, volume: float) -> str | None:
        if record.path(cohort.output_dir, "lesion_mask", _t1w_place(record)) is None:
            return "it has no lesion mask on the grid of a T1w."
        return None if volume > 0 else "it has no lesion."

    cohort.omit(list(map(reason, cohort.records, table.lesion_volumes(cohort.rows))))
    repeated = cohort.rows["participant_id"].duplicated(keep=False)
    if repeated.any():
        several = ", ".join(cohort.rows.loc[repeated, "participant_id"].unique())
        cohort.notices.append(
            f"Several sessions are exported for {several}: run fMRIPrep with "
            "--subject-anatomical-reference sessionwise, or export one session with --session-label."
        )


def _t1w_place(record: Record) -> str | None:
    """Return the place of the outputs on the grid of the T1w."""
    return None if record.reference == "T1w" else "T1w"


def _write_csv(cohort: Cohort, folder: Path) -> None:
    """Write all columns of the group table, and the masks."""
    masks = behavior.write_masks(cohort.output_dir, cohort.records, folder / "lesions")
    rows = cohort.rows.assign(**{_MASK: _relative(masks, folder)})
    behavior.write_csv(rows, folder / "lesions.csv")


def _write_lesymap(cohort: Cohort, folder: Path) -> None:
    """Write a file with a number per line for each column, the list of its masks, and a table of all
    columns."""
    _select_first_sessions(cohort)
    masks = behavior.write_masks(cohort.output_dir, cohort.records, folder / "lesions")
    rows = _behavior(cohort)
    rows.insert(0, _MASK, _relative(masks, folder))
    write_tsv(rows, folder / "behavior.tsv")
    # LESYMAP checks that the first image has two values: a mask without a lesion cannot be the first.
    ordered = rows.iloc[(table.lesion_volumes(cohort.rows) == 0).argsort(kind="stable")]
    for name, scores in ordered.select_dtypes("number").items():
        present = scores.dropna()
        _write_lines(folder / "behavior" / f"{name}.txt", present.map("{:.6g}".format))
        _write_lines(folder / "lesion_lists" / f"{name}.txt", ordered.loc[present.index, _MASK])


def _relative(paths: Iterable[Path], folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in paths]


def _write_lines(path: Path, texts: Iterable[str]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(f"{text}\n" for text in texts))


def _write_svrlsm(cohort: Cohort, folder: Path) -> None:
    """Write the table with the column RegistryCode, the names of the masks without extension."""
    _select_first_sessions(cohort)
    behavior.write_masks(cohort.output_dir, cohort.records, folder / "lesions", ".nii")
    rows = _behavior(cohort)
    rows.insert(0, _CODE, [record.name for record in cohort.records])
    behavior.write_csv(rows, folder / "behavior.csv")


def _write_niistat(cohort: Cohort, folder: Path) -> None:
    """Write the worksheet NiiStat: the masks, which are in the same folder, and columns of numbers."""
    _select_first_sessions(cohort)
    masks = behavior.write_masks(cohort.output_dir, cohort.records, folder, ".nii")
    rows = _behavior(cohort).select_dtypes("number")
    rows.insert(0, _MASK, _relative(masks, folder))
    write_workbook(rows, folder / "behavior.xlsx", "NiiStat")


def _write_fmriprep(cohort: Cohort, folder: Path) -> None:
    """Write lesion masks on the grid of the T1w, as fMRIPrep reads them in the dataset."""
    _select_t1w_masks(cohort)
    for record in cohort.records:
        mask = image.load(record.require(cohort.output_dir, "lesion_mask", _t1w_place(record)))
        image.save(mask, folder / folder_of(record.name) / f"{record.name}_label-lesion_roi.nii.gz")
    (folder / ".bidsignore").write_text(_IGNORED_ROIS)


def _behavior(cohort: Cohort) -> pd.DataFrame:
    return behavior.behavior_table(cohort.output_dir, cohort.rows, cohort.records, cohort.people)


#: Function that writes the files of a program.
FORMATS: dict[str, Callable[[Cohort, Path], None]] = {
    "lesymap": _write_lesymap,
    "niistat": _write_niistat,
    "svrlsm": _write_svrlsm,
    "fmriprep": _write_fmriprep,
    "csv": _write_csv,
}
