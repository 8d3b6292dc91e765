"""``bids_stroke``: run the participant level or the group level."""

import signal
from collections.abc import Sequence

from bids_stroke.execution import resources
from bids_stroke.settings import Settings

from . import command, parser
from .options import PROG


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status.

    The status is 0 if every requested output exists, 1 after failures, 2 for a usage error.
    """
    # SIGTERM from a cluster or `docker stop` is handled like Ctrl-C, which also ends the children.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    return command.run(PROG, lambda: _run(argv), argv)


def _run(argv: Sequence[str] | None) -> int:
    values = parser.read(argv)
    settings = parser.make_settings(values)
    command.print_notices(PROG, parser.notices(values))
    if not settings.dry_run:
        resources.ensure_writable_folders(settings.work_dir)
    return _level(settings)


def _level(settings: Settings) -> int:
    if settings.level == "group":
        from bids_stroke.atlases import tract_cards
        from bids_stroke.execution.group import run_group

        for tract in settings.tracts:  # before the derivatives are read
            tract_cards.load_card(tract)
        return run_group(settings)
    if not settings.dry_run:
        from bids_stroke.execution import supervisor

        supervisor.prepare()  # imports the modules of sessions in the background
    from bids_stroke.execution.participant import run_participants

    return run_participants(settings)
