"""Groups of the command-line options of ``bids_stroke``."""

import argparse
import re
from pathlib import Path

from bids_stroke.settings import (
    BRAIN_EXTRACTIONS,
    DEVICES,
    NNUNET,
    NORMALIZATIONS,
    SPACES,
)

#: Names of the options for cores and for memory; those after the first are fMRIPrep's.
CORES = ("--nprocs", "--nthreads", "--n-cpus")
MEMORY = ("--mem-mb", "--mem")
#: Options of fMRIPrep that are accepted without effect, with the reasons.
WITHOUT_EFFECT = {
    "--md-only-boilerplate": "the methods text is always Markdown",
    "--notrack": "bids_stroke sends no data about its use",
}
_UNITS = {"": 1, "M": 1, "G": 1000, "T": 1_000_000}


def add_processing(group: argparse._ArgumentGroup) -> None:
    """Add the options that determine the outputs of a session."""
    group.add_argument(
        "--model",
        metavar="NAME|CARD",
        help="lesion segmentation model: the name of an included model, the path of a model card, or "
        "nnunet:FOLDER for a trained nnU-Net (v2 or v1)",
    )
    group.add_argument(
        "--mirror",
        action="store_true",
        help="average the predictions on the original and the left-right mirrored images, which "
        "doubles the segmentation time",
    )
    group.add_argument(
        "--brain-extraction",
        type=brain_extraction,
        metavar="METHOD",
        help="brain extraction method: hd-bet, deepbet, nnunet:FOLDER for a trained nnU-Net such as "
        "HD-BET 2, or none for skull-stripped images",
    )
    group.add_argument(
        "--normalization",
        choices=NORMALIZATIONS,
        help="lesion handling during the registration to the template: enantiomorphic replaces the "
        "lesion with mirrored tissue of the other hemisphere, masked excludes it from the cost "
        "function",
    )
    group.add_argument(
        "--output-spaces",
        nargs="+",
        metavar="SPACE",
        help=f"additional TemplateFlow spaces of the outputs; {SPACES[0]} is always written",
    )
    group.add_argument(
        "--tract",
        dest="tracts",
        nargs="+",
        metavar="TRACT",
        help="tracts to measure the lesion load on: names from bids_stroke-tracts list, YAML tract "
        "cards, or probability maps with space-<template> in their names",
    )
    group.add_argument(
        "--cutoffs",
        dest="cutoffs_ml",
        nargs=2,
        type=float,
        metavar=("LOWER", "UPPER"),
        help="cut-offs of the load category, in ml of weighted load (default: cut-offs of the tract "
        "card)",
    )
    group.add_argument(
        "--atlas",
        nargs="+",
        metavar="ATLAS",
        default=[],
        help="atlases for regional lesion volumes: names from bids_stroke-atlases list, YAML atlas "
        "cards, or label images or 4D images with one probability map per region, with "
        "space-<template> in their names",
    )
    group.add_argument(
        "--atlas-labels",
        nargs="+",
        type=Path,
        metavar="TSV",
        default=[],
        help="one table per file of --atlas, in the same order, with the columns index and name; not "
        "for names and cards",
    )
    group.add_argument(
        "--device", choices=DEVICES, help="device of the networks; auto uses a GPU if available"
    )


def add_group_level(group: argparse._ArgumentGroup) -> None:
    """Add the options of the group level."""
    group.add_argument(
        "--group-by",
        metavar="COLUMN",
        help="column of participants.tsv that defines the groups whose loads are compared",
    )
    group.add_argument(
        "--ground-truth",
        type=Path,
        metavar="DIR",
        help="derivatives with manual lesion masks; the evaluation is written to the folder evaluation "
        "and to group.html",
    )
    group.add_argument(
        "--qc-ratings",
        nargs="+",
        type=Path,
        metavar="TSV",
        help="QC ratings exported from the reports, by one or several raters; rejected sessions are "
        "excluded from tables, maps, report and evaluation",
    )


def add_resources(group: argparse._ArgumentGroup) -> None:
    """Add the options for cores, memory and devices."""
    group.add_argument(
        *CORES,
        type=positive,
        metavar="N",
        default=None,
        help="total number of cores; by default all cores of the machine, container or job",
    )
    group.add_argument(
        "--omp-nthreads",
        type=positive,
        metavar="N",
        help="threads per session (default: cores divided among the running sessions)",
    )
    group.add_argument(
        *MEMORY,
        type=megabytes,
        metavar="MB",
        default=None,
        help="total memory in MB, or with a unit, such as 16G; by default all memory of the machine, "
        "container or job",
    )
    group.add_argument(
        "--plugin-file",
        "--use-plugin",
        "--nipype-plugin-file",
        type=Path,
        metavar="FILE",
        help="YAML file with a Nipype plugin and its arguments, for the steps of a session",
    )


def add_running(group: argparse._ArgumentGroup) -> None:
    """Add the options that control how a run proceeds."""
    group.add_argument(
        "-w",
        "--work-dir",
        type=Path,
        metavar="DIR",
        help="folder of intermediate results (default: the folder work in the output folder)",
    )
    group.add_argument(
        "--clean-workdir",
        action="store_true",
        help="remove the intermediate results of a session when it is complete",
    )
    group.add_argument(
        "--stop-on-first-crash",
        action="store_true",
        help="do not start further sessions after one has failed or is locked by another run",
    )
    group.add_argument(
        "--strict",
        action="store_true",
        help="treat sessions that fail a QC check as failed; the group level excludes them",
    )
    group.add_argument(
        "--deterministic",
        action="store_true",
        help="bitwise reproducible results, with one thread per session; intermediate results are "
        "stored separately from those of other runs",
    )
    group.add_argument(
        "--reports-only",
        action="store_true",
        help="write the HTML reports again from the output folder; bids_dir need not exist",
    )
    group.add_argument(
        "--report-viewer",
        action="store_true",
        help="embed the interactive viewers in the participant reports (up to 15 MB per session) "
        "instead of writing them to separate files",
    )
    group.add_argument(
        "--write-graph",
        action="store_true",
        help="write the graph of each workflow to the logs: as .dot, and as .svg if Graphviz is "
        "installed",
    )
    group.add_argument(
        "--config-file",
        type=Path,
        metavar="FILE",
        help="TOML file with options, such as the file that each run writes to its logs; options of "
        "the command line take precedence",
    )
    group.add_argument("-v", "--verbose", action="count", help="log more details")
    for option, reason in WITHOUT_EFFECT.items():
        group.add_argument(
            option,
            action="store_true",
            help=f"no effect, because {reason}; accepted for compatibility with fMRIPrep",
        )


def megabytes(text: str) -> int:
    """Convert a size in MB, or with the unit M, G or T, to MB."""
    match = re.fullmatch(r"([1-9]\d*) ?([MGT]?)B?", text.upper())
    if not match:
        raise argparse.ArgumentTypeError(f"{text} is not a size in MB, such as 16000 or 16G")
    size = int(match[1]) * _UNITS[match[2]]
    if size < _UNITS["G"]:
        raise argparse.ArgumentTypeError(
            f"{text} is less than 1 GB; the unit is MB, as in 16000 or 16G"
        )
    return size


def brain_extraction(text: str) -> str:
    """Check the name of a brain extraction method."""
    if text not in BRAIN_EXTRACTIONS and not text.startswith(NNUNET):
        raise argparse.ArgumentTypeError(
            f"{text} is not {', '.join(BRAIN_EXTRACTIONS)} or {NNUNET}FOLDER"
        )
    return text


def positive(text: str) -> int:
    """Convert a positive integer."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive integer")
    return int(text)
