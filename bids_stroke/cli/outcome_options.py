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
        help="columns with outcomes, which are related to lesion volume, tract loads, regions and "
        "voxels",
    )
    group.add_argument(
        "--covariates",
        nargs="+",
        metavar="COLUMN",
        help="columns with covariates, such as age; hemisphere stands for the side of the lesion",
    )
    group.add_argument(
        "--phenotype",
        type=Path,
        metavar="TSV",
        help="table with the column participant_id and columns with outcomes or covariates, in "
        "addition to participants.tsv and sessions.tsv of the dataset",
    )
    group.add_argument(
        "--worse",
        choices=WORSE,
        help="values of the outcomes that are worse; the tests are then one-sided, for worse outcomes "
        "with a lesion (default: tests in both directions)",
    )
    group.add_argument(
        "--flip-to",
        choices=("left",),
        help="mirror right lesions to the left side, for the lesion-symptom map and the prediction "
        "from the lesion map",
    )
    group.add_argument(
        "--min-overlap",
        type=positive,
        metavar="N",
        help="smallest number of participants with a lesion in a tested voxel, region or tract "
        "(default: 5%% of the participants, at least 5)",
    )
    group.add_argument(
        "--permutations", type=positive, metavar="N", help="number of permutations of each test"
    )
    group.add_argument(
        "--tfce",
        action="store_true",
        help="also test the voxels with threshold-free cluster enhancement (TFCE), which takes up to a "
        "second per permutation",
    )
