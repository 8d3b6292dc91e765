"""``bids_stroke-evaluate``: compare predicted lesion masks with manual ones."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bids_stroke.errors import StrokeError, UsageError
from bids_stroke.settings import ORIENTATIONS

from .encoding import start_in_utf8

if TYPE_CHECKING:
    import pandas as pd  # slow to load


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    command = argparse.ArgumentParser(
        prog="bids_stroke-evaluate",
        description="Compare the lesion masks of one or several models with manual ones: scores of "
        "each scan, statistics, comparison of the models, the tables of published papers, pictures.",
    )
    command.add_argument(
        "pred",
        nargs="+",
        metavar="[NAME=]PRED",
        help="folder of predicted masks, a BIDS derivative or files named as the true ones",
    )
    command.add_argument("truth", type=Path, metavar="TRUTH", help="folder of the manual masks")
    command.add_argument("out", type=Path, metavar="OUT", help="folder for tables and pictures")
    command.add_argument(
        "--participants",
        type=Path,
        metavar="TSV",
        help="participants.tsv, whose columns (such as site) are groups, and whose column head names "
        "the head that simulated participants share",
    )
    command.add_argument(
        "--assume-orientation",
        choices=ORIENTATIONS,
        help="directions of the axes of masks whose headers state none; without it they are not "
        "compared",
    )
    command.add_argument(
        "--nprocs", type=int, default=1, metavar="N", help="pairs at a time (default: 1)"
    )
    return command


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; 1 if a pair could not be compared, 2 for a mistake in the command."""
    start_in_utf8(argv)
    arguments = parser().parse_args(argv)
    try:
        return _evaluate(arguments)
    except StrokeError as error:
        print(f"bids_stroke-evaluate: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1


def _evaluate(arguments: argparse.Namespace) -> int:
    """Evaluate, write the folder of the evaluation, and print what could not be compared."""
    from bids_stroke.cohort.participants import read_participants
    from bids_stroke.evaluation.run import evaluate, remarks_notice
    from bids_stroke.reports.evaluation import write_evaluation

    predictions = _folders_by_model(arguments.pred)
    participants = arguments.participants
    if participants and not participants.is_file():
        raise UsageError(f"{participants} does not exist; check --participants.")
    people = read_participants(participants) if participants else None
    orientation = arguments.assume_orientation
    rows, lesions = evaluate(predictions, arguments.truth, arguments.nprocs, orientation=orientation)
    if people is not None:
        _check_ids(rows, people, participants)
    page = write_evaluation(arguments.out, rows, lesions, people, orientation)
    bad = rows[rows["tp"].isna()]
    columns = ["participant_id", "session_id", "model", "reason"]
    for participant, session, model, reason in bad[columns].fillna("").itertuples(index=False):
        print(f"{participant} {session} {model}: {reason}")
    if notice := remarks_notice(rows):
        print(notice)
    print(f"{len(rows) - len(bad)} pairs compared, {len(bad)} not: {page.path}")
    return 1 if len(bad) else 0


def _check_ids(rows: "pd.DataFrame", people: "pd.DataFrame", path: Path) -> None:
    """Print the ids of participants without a counterpart."""
    from bids_stroke.bids.names import with_prefix
    from bids_stroke.cohort.participants import unmatched_participants

    compared = {with_prefix(participant, "sub-") for participant in rows["participant_id"]}
    if compared.isdisjoint(people["participant_id"]):
        raise UsageError(f"{path} has no row of any participant compared; check participant_id.")
    for sentence in unmatched_participants(compared, people, path):
        print(sentence)


def _folders_by_model(arguments: Sequence[str]) -> dict[str, Path]:
    """Folders by name of the model: ``NAME=DIR``, or the folder's own name."""
    folders: dict[str, Path] = {}
    for argument in arguments:
        name, equals, path = argument.partition("=")
        folder = Path(path if equals else argument)
        name = name if equals else folder.resolve().name
        if not folder.is_dir():
            raise UsageError(f"{folder} is not a folder; name a folder of predicted masks.")
        if name in folders:
            raise UsageError(f"Two predictions are called {name}; name them, such as A={folder}.")
        folders[name] = folder
    return folders


if __name__ == "__main__":
    sys.exit(main())
