"""``bids_stroke-evaluate``: compare predicted lesion masks with manual masks."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bids_stroke.errors import DatasetError, UsageError
from bids_stroke.settings import ORIENTATIONS

from .command import CommandParser, run
from .option_groups import positive

if TYPE_CHECKING:
    import pandas as pd  # slow to load


def parser() -> CommandParser:
    """Return the parser of the command."""
    command = CommandParser(
        prog="bids_stroke-evaluate",
        description="Compare the lesion masks of one or several models with manual masks. The output "
        "contains the scores of each scan, summary statistics, a comparison of the models, tables as "
        "in published papers, and figures.",
    )
    command.add_argument(
        "pred",
        nargs="+",
        metavar="[NAME=]PRED",
        help="folder of predicted masks: BIDS derivatives, or files with the same names as the manual "
        "masks",
    )
    command.add_argument("truth", type=Path, metavar="TRUTH", help="folder of manual masks")
    command.add_argument("out", type=Path, metavar="OUT", help="output folder for tables and figures")
    command.add_argument(
        "--participants",
        type=Path,
        metavar="TSV",
        help="participants.tsv; its columns (such as site) define groups, and its column head "
        "identifies the head that several simulated participants share",
    )
    command.add_argument(
        "--assume-orientation",
        choices=ORIENTATIONS,
        help="assumed axis directions of masks whose headers define none; without this option such "
        "masks are not compared",
    )
    command.add_argument(
        "--nprocs",
        type=positive,
        default=1,
        metavar="N",
        help="number of pairs to compare in parallel (default: 1)",
    )
    return command


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return 1 if a pair could not be compared, 2 for a usage error, else 0."""
    command = parser()
    return run(command.prog, lambda: _evaluate(command.parse_intermixed_args(argv)), argv)


def _evaluate(arguments: argparse.Namespace) -> int:
    """Compare the masks, write the output folder, and print the pairs that could not be compared."""
    from bids_stroke.cohort.participants import read_participants
    from bids_stroke.evaluation.run import evaluate, remarks_notice
    from bids_stroke.reports.evaluation import write_evaluation

    predictions = _folders_by_model(arguments.pred)
    participants = arguments.participants
    if participants and not participants.is_file():
        raise UsageError(f"{participants} does not exist; check --participants.")
    people = read_participants(participants) if participants else None
    mismatches = _mismatches(predictions, arguments.truth, arguments.out)
    orientation = arguments.assume_orientation
    rows, lesions = evaluate(predictions, arguments.truth, arguments.nprocs, orientation=orientation)
    if people is not None:
        _check_ids(rows, people, participants)
    page = write_evaluation(arguments.out, rows, lesions, people, orientation)
    for model, sentence in mismatches.items():
        print(f"{model}: {sentence}")
    failed = rows[rows["tp"].isna()]
    columns = ["participant_id", "session_id", "model", "reason"]
    listed = failed.loc[~failed["model"].isin(mismatches), columns].fillna("")
    for participant, session, model, reason in listed.itertuples(index=False):
        print(f"{participant} {session} {model}: {reason}")
    if notice := remarks_notice(rows):
        print(notice)
    print(f"Compared pairs: {len(rows) - len(failed)}; not compared: {len(failed)}; see {page.path}")
    return 1 if len(failed) else 0


def _mismatches(predictions: Mapping[str, Path], truth: Path, out: Path) -> dict[str, str]:
    """Return the likely cause for each model without any match.

    Raises
    ------
    DatasetError
        If no model has a match; the error states the cause for the first one.
    UsageError
        If the folders seem to be in another order, or the folder of the true masks does not exist.
    """
    from bids_stroke.evaluation.masks import find_masks
    from bids_stroke.evaluation.mismatches import explain_mismatch

    if not truth.is_dir():
        raise UsageError(
            f"{truth} does not exist or is not a folder; give the folder of the manual masks."
        )
    if not find_masks(truth).by_scan and out.is_dir() and find_masks(out).by_scan:
        raise UsageError(
            f"{truth} contains no lesion mask, but {out} does; give the folders in the order PRED, "
            "TRUTH, OUT."
        )
    explained = ((model, explain_mismatch(folder, truth)) for model, folder in predictions.items())
    mismatches = {model: sentence for model, sentence in explained if sentence}
    if mismatches.keys() == predictions.keys():
        raise DatasetError(next(iter(mismatches.values())))
    return mismatches


def _check_ids(rows: "pd.DataFrame", people: "pd.DataFrame", path: Path) -> None:
    """Print the participants that are missing in the table or in the comparison."""
    from bids_stroke.bids.names import with_prefix
    from bids_stroke.cohort.participants import unmatched_participants

    compared = {with_prefix(participant, "sub-") for participant in rows["participant_id"]}
    if compared.isdisjoint(people["participant_id"]):
        raise UsageError(
            f"{path} has no row for any compared participant; check its column participant_id."
        )
    for sentence in unmatched_participants(compared, people, path):
        print(sentence)


def _folders_by_model(arguments: Sequence[str]) -> dict[str, Path]:
    """Return folders by model name, from ``NAME=DIR`` or from the name of the folder."""
    folders: dict[str, Path] = {}
    for argument in arguments:
        name, equals, path = argument.partition("=")
        if not equals or Path(argument).is_dir():  # the path of a folder may contain =
            name, path = Path(argument).resolve().name, argument
        folder = Path(path)
        if not folder.is_dir():
            raise UsageError(
                f"{folder} does not exist or is not a folder; give a folder of predicted masks."
            )
        if name in folders:
            raise UsageError(
                f"Two folders of predictions have the name {name}; add names, such as A={folder}."
            )
        folders[name] = folder
    return folders


if __name__ == "__main__":
    sys.exit(main())
