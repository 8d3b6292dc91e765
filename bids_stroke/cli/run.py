"""``bids_stroke``: run the participant level or the group level."""

import os
import signal
import sys
from collections.abc import Sequence

from bids_stroke.errors import StrokeError, UsageError
from bids_stroke.execution import failures, resources
from bids_stroke.settings import Settings

from . import parser
from .encoding import start_in_utf8


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status.

    The status is 0 if every requested output exists, 1 after failures, 2 for a usage error.
    """
    start_in_utf8(argv)
    # SIGTERM from a cluster or `docker stop` is handled like Ctrl-C, which also ends the children.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        settings = parser.parse(argv)
        if not settings.dry_run:
            resources.ensure_writable_folders(settings.work_dir)
        status = _level(settings)
        sys.stdout.flush()
        return status
    except UsageError as error:
        print(f"bids_stroke: error: {error}", file=sys.stderr)
        return 2
    except StrokeError as error:
        print(f"bids_stroke: error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader of the output has exited: do not flush the rest
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (OSError, MemoryError, ImportError, RuntimeError) as error:
        reason = failures.describe_shortage(error)
        if reason is None and isinstance(error, OSError):
            reason = failures.describe_os_error(error)
        if reason is None:
            raise
        print(f"bids_stroke: error: {reason}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bids_stroke: interrupted; run the same command again to continue.", file=sys.stderr)
        return 130


def _level(settings: Settings) -> int:
    if settings.level == "group":
        from bids_stroke.execution.group import run_group

        return run_group(settings)
    if not settings.dry_run:
        from bids_stroke.execution import supervisor

        supervisor.prepare()  # imports the modules of sessions in the background
    from bids_stroke.execution.participant import run_participants

    return run_participants(settings)
