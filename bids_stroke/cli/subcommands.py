"""Entry point of commands that have subcommands."""

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
    """Run the subcommand that a command line names; returns the exit status.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        Its arguments have the name of the subcommand as ``command``.
    commands : mapping of str to callable
        Subcommands by name; each returns an exit status.
    argv : sequence of str, optional
        The words of the command line; those of the process by default.
    """
    start_in_utf8(argv)
    arguments = parser.parse_args(argv)
    try:
        return commands[arguments.command](arguments)
    except StrokeError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
