"""``bids_stroke-review``: collect corrected lesion masks, and list which masks to correct next."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from bids_stroke.errors import UsageError

from .command import CommandParser, print_notices, run_subcommand


def parser() -> CommandParser:
    """Return the parser of the command."""
    command = CommandParser(
        prog="bids_stroke-review",
        description="Collect lesion masks that raters corrected, and list which masks to correct next.",
    )
    commands = command.add_subparsers(dest="command", required=True, metavar="COMMAND")
    collect = commands.add_parser("collect", help="collect corrected masks in a derivatives dataset")
    collect.add_argument(
        "downloads", type=Path, metavar="DIR", help="folder with the corrected masks that were saved"
    )
    collect.add_argument(
        "corrections", type=Path, metavar="OUT", help="dataset of corrections, created if necessary"
    )
    collect.add_argument(
        "--derivatives",
        type=Path,
        metavar="DIR",
        help="output folder of bids_stroke, whose sessions and grids the masks must match (default: "
        "the grid in the sidecar of each mask)",
    )
    collect.add_argument("--rater", metavar="NAME", help="rater of masks without sidecar")
    collect.add_argument(
        "--use-rater",
        metavar="NAME",
        help="rater whose masks are used for sessions that several raters corrected (default: the "
        "newest mask)",
    )
    collect.add_argument(
        "--allow-empty", action="store_true", help="accept masks of sessions without a lesion"
    )
    order = commands.add_parser("next", help="list the masks in the order in which to correct them")
    order.add_argument("output_dir", type=Path, metavar="DIR", help="output folder of bids_stroke")
    return command


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return the exit status."""
    return run_subcommand(parser(), _COMMANDS, argv)


def _collect(arguments: argparse.Namespace) -> int:
    """Collect the masks of a folder; return 1 if one of them is not used."""
    from bids_stroke.bids.collection import Collector
    from bids_stroke.bids.corrections import PROGRAM

    for folder in filter(None, (arguments.downloads, arguments.derivatives)):
        _check_folder(folder)
    collector = Collector(
        arguments.corrections,
        arguments.derivatives,
        arguments.rater,
        arguments.use_rater,
        arguments.allow_empty,
    )
    result = collector.collect(arguments.downloads)
    for line in result.collected:
        print(line)
    print(f"New masks in {arguments.corrections}: {len(result.collected)}")
    print_notices(PROGRAM, result.notes)
    for reason in result.refused:
        print(f"{PROGRAM}: error: {reason}", file=sys.stderr)
    return 1 if result.refused else 0


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise UsageError(f"{folder} does not exist or is not a folder; check the path.")


def _next(arguments: argparse.Namespace) -> int:
    """Print the sessions in the order in which to correct their masks."""
    from bids_stroke.bids.record import read_selected
    from bids_stroke.cohort import table as cohort_table
    from bids_stroke.cohort.queue import order_corrections

    _check_folder(arguments.output_dir)
    table, *_ = cohort_table.collect(arguments.output_dir, read_selected(arguments.output_dir))
    print("session\treasons")
    for session in order_corrections(table):
        print(f"{session.name}\t{'; '.join(session.reasons) or 'n/a'}")
    return 0


_COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {"collect": _collect, "next": _next}
if __name__ == "__main__":
    sys.exit(main())
