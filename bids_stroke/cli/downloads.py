"""Downloads with progress bars."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # slow to import
    from rich.progress import Progress as ProgressBars
    from rich.progress import TaskID

    from bids_stroke.utils.download import Progress


def download_all(downloads: "Mapping[str, Callable[[Progress], list[Path]]]") -> None:
    """Download files and print their paths.

    Parameters
    ----------
    downloads : mapping of str to callable
        Functions by name, each of which downloads files, reports its progress, and returns the paths.
    """
    from rich.console import Console
    from rich.progress import Progress as ProgressBars

    with ProgressBars(console=Console(stderr=True)) as bars:
        for name, download in downloads.items():
            for path in download(_progress_callback(bars, bars.add_task(name))):
                print(path)


def _progress_callback(bars: "ProgressBars", task: "TaskID") -> "Progress":
    """Return a callback that shows the progress of a download on a bar."""
    return lambda done, total: bars.update(task, completed=done, total=total)
