"""``bids_stroke-evaluate``: compare predicted lesion masks with manual ones."""

import argparse
import sys
from pathlib import Path

from bids_stroke.errors import StrokeError, UsageError


def parser():
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
        help="participants.tsv, whose columns (such as site) are groups to be told apart",
    )
    command.add_argument(
        "--nprocs", type=int, default=1, metavar="N", help="pairs at a time (default: 1)"
    )
    return command


def main(argv=None):
    """Entry point; 1 if a pair could not be compared, 2 for a mistake in the command."""
    arguments = parser().parse_args(argv)
    try:
        return evaluate(
            _named(arguments.pred),
            arguments.truth,
            arguments.out,
            arguments.participants,
            arguments.nprocs,
        )
    except StrokeError as error:
        print(f"bids_stroke-evaluate: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1


def evaluate(predictions, truth, out, participants=None, nprocs=1):
    """Evaluate, write everything to ``out`` and tell what could not be compared."""
    from bids_stroke.cohort.participants import read_participants
    from bids_stroke.evaluation import evaluation
    from bids_stroke.reports import evaluation as evaluation_report

    if participants and not participants.is_file():
        raise UsageError(f"{participants} does not exist; check --participants.")
    people = read_participants(participants) if participants else None
    rows, lesions = evaluation.evaluate(predictions, truth, nprocs)
    page = evaluation_report.write_evaluation(out, rows, lesions, people)
    bad = rows[rows["tp"].isna()]
    for row in bad.itertuples():
        print(f"{row.participant_id} {row.session_id or ''} {row.model}: {row.reason}")
    print(f"{len(rows) - len(bad)} pairs compared, {len(bad)} not: {page.path}")
    return 1 if len(bad) else 0


def _named(arguments):
    """Folders by name of the model: ``NAME=DIR``, or the folder's own name."""
    named = {}
    for argument in arguments:
        name, equals, folder = argument.partition("=")
        folder = Path(folder if equals else argument)
        name = name if equals else folder.resolve().name
        if not folder.is_dir():
            raise UsageError(f"{folder} is not a folder; name a folder of predicted masks.")
        if name in named:
            raise UsageError(f"Two predictions are called {name}; name them, such as A={folder}.")
        named[name] = folder
    return named


if __name__ == "__main__":
    sys.exit(main())
