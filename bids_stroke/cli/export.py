"""``bids_stroke-export``: export lesion masks and behavior tables for other programs."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .command import CommandParser, print_notices, run_parsed

#: Programs by the value of ``--to``.
PROGRAMS = {
    "lesymap": "LESYMAP",
    "niistat": "NiiStat",
    "svrlsm": "SVR-LSM (svrlsmgui)",
    "fmriprep": "fMRIPrep",
    "csv": "comma-separated table",
}


def parser() -> CommandParser:
    """Return the parser of the command."""
    command = CommandParser(
        prog="bids_stroke-export",
        description="Export the lesion masks of the group level, with participants.tsv and measures of "
        "the lesions, in the format of another program.",
    )
    command.add_argument("out", type=Path, metavar="OUT", help="output folder of bids_stroke")
    command.add_argument("dest", type=Path, metavar="DEST", help="new or empty folder for the export")
    command.add_argument(
        "--to",
        choices=PROGRAMS,
        required=True,
        help="program: " + ", ".join(f"{key} ({title})" for key, title in PROGRAMS.items()),
    )
    command.add_argument(
        "--session-label",
        nargs="+",
        default=(),
        metavar="LABEL",
        help="sessions to export, with or without ses- (default: all for fmriprep and csv, the first "
        "session of each participant for the other programs)",
    )
    return command


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return the exit status."""
    return run_parsed(parser(), _export, argv)


def _export(arguments: argparse.Namespace) -> int:
    from bids_stroke.cohort.export import export

    labels = [label.removeprefix("ses-") for label in arguments.session_label]
    cohort = export(arguments.out, arguments.dest, arguments.to, labels)
    print(f"Sessions in {arguments.dest}: {len(cohort.records)}")
    omitted = [f"{name} is not exported: {reason}" for name, reason in cohort.omitted.items()]
    print_notices("bids_stroke-export", [*cohort.notices, *omitted])
    return 0


if __name__ == "__main__":
    sys.exit(main())
