"""``bids_stroke``: build, run, report."""

import os
import signal
import sys

from bids_stroke.errors import StrokeError, UsageError
from bids_stroke.execution import resources
from bids_stroke.execution.participant import run_participants

from . import parser


def main(argv=None):
    """Run the command line and return the exit status: 0 if every requested output exists, 1 for
    failures, 2 for wrong usage."""
    # A cluster or `docker stop` ends a run as Ctrl-C does: the children with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        settings = parser.parse(argv)
        if not settings.dry_run:
            resources.find_places(settings.work_dir)
        status = _level(settings)
        sys.stdout.flush()
        return status
    except UsageError as error:
        print(f"bids_stroke: error: {error}", file=sys.stderr)
        return 2
    except StrokeError as error:
        print(f"bids_stroke: error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # whoever read the output has left: Python must not write the rest
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (OSError, MemoryError, ImportError, RuntimeError) as error:
        told = resources.shortage(error) or (isinstance(error, OSError) and _refused(error))
        if not told:
            raise
        print(f"bids_stroke: error: {told}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bids_stroke: stopped; run the same command again to continue.", file=sys.stderr)
        return 130


def _level(settings):
    if settings.level == "participant":
        return run_participants(settings)
    from bids_stroke.execution.group import run_group

    return run_group(settings)


def _refused(error):
    """Tell in a sentence what the machine refused."""
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}; mend it and run the same command again to continue."
