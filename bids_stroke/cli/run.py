"""``bids_stroke``: run the participant level or the group level."""

import signal
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from bids_stroke.execution import resources
from bids_stroke.settings import Settings

from . import command, config_file, options
from . import parser as command_line
from .options import PROG


def parser() -> command.CommandParser:
    """Return the parser of the command."""
    return options.build()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status.

    The status is 0 if every requested output exists, 1 after failures, 2 for a usage error.
    """
    # SIGTERM from a cluster or `docker stop` is handled like Ctrl-C, which also ends the children.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    return command.run(PROG, lambda: _run(argv), argv)


def _run(argv: Sequence[str] | None) -> int:
    values = command_line.read(argv)
    settings = command_line.make_settings(values)
    command.print_notices(PROG, command_line.notices(values))
    if not settings.dry_run:
        resources.ensure_writable_folders(settings.work_dir)
    return _level(settings, partial(config_file.write, settings, command_line.absolute(values)))


def _level(settings: Settings, write_options: Callable[[], Path]) -> int:
    """Run a level and write the options of the run; return the exit status."""
    if settings.level == "group":
        from bids_stroke.atlases import tract_cards
        from bids_stroke.execution.group import run_group

        for tract in settings.tracts:  # before the derivatives are read
            tract_cards.load_card(tract)
        status = run_group(settings)
        write_options()
        return status
    if not settings.dry_run:
        from bids_stroke.execution import supervisor

        supervisor.prepare()  # imports the modules of sessions in the background
    from bids_stroke.execution.participant import run_participants

    return run_participants(settings, write_options)
