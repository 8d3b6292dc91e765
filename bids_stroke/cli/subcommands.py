"""Entry point of commands with subcommands."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence

from bids_stroke.errors import StrokeError, UsageError

from .encoding import start_in_utf8


def run(
    parser: argparse.ArgumentParser,
    commands: Mapping[str, Callable[[argparse.Namespace], int]],
    argv: Sequence[str] | None,
) -> int:
    """Run the subcommand of a command line and return the exit status.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        Parser that stores the name of the subcommand as ``command``.
    commands : mapping of str to callable
        Subcommands by name; each returns an exit status.
    argv : sequence of str, optional
        Words of the command line; those of the process by default.
    """
    start_in_utf8(argv)
    arguments = parser.parse_args(argv)
    try:
        return commands[arguments.command](arguments)
    except StrokeError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
