"""Command-line options of the analysis of outcomes, at the group level."""

import argparse
from pathlib import Path

from bids_stroke.settings import WORSE

from .option_groups import positive


def add_outcome(group: argparse._ArgumentGroup) -> None:
    """Add the options of the analysis of outcomes."""
    group.add_argument(
        "--outcome",
        dest="outcomes",
        nargs="+",
        metavar="COLUMN",
        help="columns with outcomes, to be related to lesion volume, tract loads, regions and voxels",
    )
    group.add_argument(
        "--covariates",
        nargs="+",
        metavar="COLUMN",
        help="columns with covariates, such as age; hemisphere is the side of the lesion",
    )
    group.add_argument(
        "--phenotype",
        type=Path,
        metavar="TSV",
        help="table with outcomes and covariates and the column participant_id, in addition to "
        "participants.tsv and sessions.tsv of the dataset",
    )
    group.add_argument(
        "--worse",
        choices=WORSE,
        help="values of the outcomes that are worse; tests whether lesions make outcomes worse "
        "(default: tests in both directions)",
    )
    group.add_argument(
        "--flip-to",
        choices=("left",),
        help="mirror right lesions to the left side for the voxel-wise maps",
    )
    group.add_argument(
        "--min-overlap",
        type=positive,
        metavar="N",
        help="smallest number of participants with a lesion in a tested voxel or region (default: 5%% "
        "of the participants, at least 5)",
    )
    group.add_argument(
        "--permutations", type=positive, metavar="N", help="number of permutations of each test"
    )
    group.add_argument(
        "--tfce",
        action="store_true",
        help="also enhance the voxel-wise maps by clusters (TFCE), which takes up to a second for "
        "each permutation",
    )
