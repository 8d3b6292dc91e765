"""Command-line options that select participants, sessions and files."""

import argparse
from collections.abc import Callable
from pathlib import Path

from bids_stroke.settings import ORIENTATIONS


def add_selection(group: argparse._ArgumentGroup) -> None:
    """Add the options that select participants, sessions and files."""
    group.add_argument(
        "--participant-label",
        nargs="+",
        metavar="LABEL",
        type=_label("sub-"),
        help="participants to process, with or without sub- (default: all)",
    )
    group.add_argument(
        "--session-label",
        nargs="+",
        metavar="LABEL",
        type=_label("ses-"),
        help="sessions to process, with or without ses- (default: all)",
    )
    group.add_argument(
        "--bids-filter-file",
        type=Path,
        metavar="FILE",
        help="JSON file of PyBIDS filters for t1w, flair, t2w, trace and adc images and for lesion "
        'masks, such as {"t1w": {"acquisition": "mprage"}}',
    )
    group.add_argument(
        "--bids-database-dir",
        type=Path,
        metavar="DIR",
        help="folder of a PyBIDS index, which is created or reused",
    )
    group.add_argument(
        "--skip-bids-validation", action="store_true", help="do not check dataset_description.json"
    )
    group.add_argument(
        "--derivatives",
        nargs="+",
        type=Path,
        metavar="DIR",
        help="derivatives with user-supplied brain masks (*desc-brain_mask.nii.gz)",
    )
    group.add_argument(
        "--lesion-derivatives",
        type=Path,
        metavar="DIR",
        help="derivatives with user-supplied lesion masks (such as *label-L*_mask.nii.gz), which are "
        "used instead of a segmentation",
    )
    group.add_argument(
        "--corrections",
        type=Path,
        metavar="DIR",
        help="corrected lesion masks, collected by bids_stroke-review; they are used instead of the "
        "masks of the model",
    )
    group.add_argument(
        "--assume-orientation",
        choices=ORIENTATIONS,
        help="assumed axis directions of scans and their masks if the header defines none (qform and "
        "sform codes 0); without this option such files are refused",
    )
    group.add_argument(
        "--dry-run",
        action="store_true",
        help="show which sessions would run and which files would be used, with reasons, without "
        "writing files",
    )


def _label(prefix: str) -> Callable[[str], str]:
    def label(text: str) -> str:
        return text.removeprefix(prefix)

    return label
