"""Command-line options of ``bids_stroke``, with the defaults of the settings."""

import argparse
from collections.abc import Callable
from dataclasses import MISSING, fields
from pathlib import Path

from bids_stroke import __version__
from bids_stroke.execution import resources
from bids_stroke.settings import (
    BRAIN_EXTRACTIONS,
    DEVICES,
    LEVELS,
    NORMALIZATIONS,
    ORIENTATIONS,
    SPACES,
    Settings,
)

_EPILOG = """\
examples:
  bids_stroke /data /out participant                      process all participants
  bids_stroke /data /out participant --participant-label 01 02
  bids_stroke /data /out group                            write tables, maps and the cohort report
"""


class _Help(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Help formatter that adds defaults, unless the help states them, and keeps line breaks."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        stated = action.dest == "output_spaces" or action.help is argparse.SUPPRESS
        if stated or action.default in (None, False, (), []):
            return action.help
        if isinstance(action.default, list):
            return f"{action.help} (default: {' '.join(action.default)})"
        return super()._get_help_string(action)


def build() -> argparse.ArgumentParser:
    """Create the parser without slow imports.

    Defaults are those of :class:`~bids_stroke.settings.Settings`, except that the defaults for cores
    and memory are those of the machine.
    """
    parser = argparse.ArgumentParser(
        prog="bids_stroke",
        description="BIDS App that segments stroke lesions and measures their volumes, locations\n"
        "and corticospinal-tract loads.",
        epilog=_EPILOG,
        formatter_class=_Help,
        allow_abbrev=False,
    )
    parser.set_defaults(**_defaults())
    parser.add_argument("bids_dir", type=Path, help="root folder of the BIDS dataset")
    parser.add_argument("output_dir", type=Path, help="output folder for the derivatives")
    parser.add_argument(
        "analysis_level",
        choices=LEVELS,
        help="participant: process each session; group: summarize the processed sessions",
    )
    parser.add_argument("--version", action="version", version=f"bids_stroke {__version__}")
    _add_selection(parser.add_argument_group("input selection"))
    _add_processing(parser.add_argument_group("processing"))
    _add_group_level(parser.add_argument_group("group level"))
    _add_resources(parser.add_argument_group("resources"))
    _add_running(parser.add_argument_group("execution"))
    return parser


def _defaults() -> dict[str, object]:
    """Return the defaults of the settings by name, with tuples converted to lists."""
    defaults = {field.name: field.default for field in fields(Settings) if field.default is not MISSING}
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in defaults.items()
    }


def _add_selection(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--participant-label", nargs="+", metavar="LABEL", type=_label("sub-"),
        help="participants to process, with or without sub- (default: all)",
    )  # fmt: skip
    group.add_argument(
        "--session-label", nargs="+", metavar="LABEL", type=_label("ses-"),
        help="sessions to process, with or without ses- (default: all)",
    )  # fmt: skip
    group.add_argument(
        "--bids-filter-file", type=Path, metavar="FILE",
        help="JSON file of PyBIDS filters for t1w, flair, t2w and trace images and for lesion masks, "
        'such as {"t1w": {"acquisition": "mprage"}}',
    )  # fmt: skip
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
        "--derivatives", nargs="+", type=Path, metavar="DIR",
        help="derivatives with user-supplied brain masks (*desc-brain_mask.nii.gz)",
    )  # fmt: skip
    group.add_argument(
        "--lesion-derivatives", type=Path, metavar="DIR",
        help="derivatives with user-supplied lesion masks (such as *label-L*_mask.nii.gz), which are "
        "used instead of a segmentation",
    )  # fmt: skip
    group.add_argument(
        "--assume-orientation", choices=ORIENTATIONS,
        help="assumed axis directions of scans and their masks if the header defines none (qform and "
        "sform codes 0); without this option such files are refused",
    )  # fmt: skip
    group.add_argument(
        "--dry-run", action="store_true",
        help="show which sessions would run and which files would be used, with reasons, without "
        "writing files",
    )  # fmt: skip


def _add_processing(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--model",
        metavar="NAME|CARD",
        help="lesion segmentation model: the name of an included model, the path of a model card, or "
        "nnunet:FOLDER for a trained nnU-Net v2",
    )
    group.add_argument(
        "--mirror", action="store_true",
        help="average the predictions on the original and the left-right mirrored images, which "
        "doubles the segmentation time",
    )  # fmt: skip
    group.add_argument(
        "--brain-extraction", choices=BRAIN_EXTRACTIONS,
        help="brain extraction method; none for skull-stripped images",
    )  # fmt: skip
    group.add_argument(
        "--normalization", choices=NORMALIZATIONS,
        help="lesion handling during the registration to the template: enantiomorphic replaces the "
        "lesion with mirrored tissue of the other hemisphere, masked excludes it from the cost "
        "function",
    )  # fmt: skip
    group.add_argument(
        "--output-spaces", nargs="+", metavar="SPACE",
        help=f"additional TemplateFlow spaces of the outputs; {SPACES[0]} is always written",
    )  # fmt: skip
    group.add_argument(
        "--tract", dest="tracts", nargs="+", metavar="TRACT",
        help="tracts to measure the lesion load on: names from bids_stroke-tracts list, YAML tract "
        "cards, or probability maps with space-<template> in their names",
    )  # fmt: skip
    group.add_argument(
        "--cutoffs", dest="cutoffs_ml", nargs=2, type=float, metavar=("LOWER", "UPPER"),
        help="cut-offs of the load category, in ml of weighted load (default: cut-offs of the tract "
        "card)",
    )  # fmt: skip
    group.add_argument(
        "--atlas", nargs="+", type=Path, metavar="FILE", default=[],
        help="atlases for regional lesion volumes, with space-<template> in their names: label images, "
        "or 4D images with one probability map per region",
    )  # fmt: skip
    group.add_argument(
        "--atlas-labels", nargs="+", type=Path, metavar="TSV", default=[],
        help="one table per --atlas file, in the same order, with the columns index and name",
    )  # fmt: skip
    group.add_argument(
        "--device", choices=DEVICES, help="device of the networks; auto uses a GPU if available"
    )


def _add_group_level(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--group-by",
        metavar="COLUMN",
        help="column of participants.tsv that defines the groups whose loads are compared",
    )
    group.add_argument(
        "--ground-truth", type=Path, metavar="DIR",
        help="derivatives with manual lesion masks; the evaluation is written to the folder evaluation "
        "and to group.html",
    )  # fmt: skip
    group.add_argument(
        "--qc-ratings", type=Path, metavar="TSV",
        help="QC ratings exported from the group report; rejected sessions are excluded from tables, "
        "maps, report and evaluation",
    )  # fmt: skip


def _add_resources(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--nprocs",
        type=_positive,
        metavar="N",
        default=resources.cores(),
        help="total number of cores; by default all cores of the machine, container or job",
    )
    group.add_argument(
        "--omp-nthreads", type=_positive, metavar="N",
        help="threads per session (default: cores divided among the running sessions)",
    )  # fmt: skip
    group.add_argument(
        "--mem-mb", type=_positive, metavar="MB", default=resources.memory_mb(),
        help="total memory in MB; by default all memory of the machine, container or job",
    )  # fmt: skip
    group.add_argument(
        "--plugin-file",
        type=Path,
        metavar="FILE",
        help="YAML file with a Nipype plugin and its arguments, for the steps of a session",
    )


def _add_running(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "-w", "--work-dir", type=Path, metavar="DIR",
        help="folder of intermediate results (default: the folder work in the output folder)",
    )  # fmt: skip
    group.add_argument(
        "--clean-workdir", action="store_true",
        help="remove the intermediate results of a session when it is complete",
    )  # fmt: skip
    group.add_argument(
        "--stop-on-first-crash", action="store_true",
        help="do not start further sessions after one has failed or is locked by another run",
    )  # fmt: skip
    group.add_argument(
        "--strict", action="store_true",
        help="treat sessions that fail a QC check as failed; the group level excludes them",
    )  # fmt: skip
    group.add_argument(
        "--deterministic", action="store_true",
        help="bitwise reproducible results, with one thread per session; intermediate results are "
        "stored separately from those of other runs",
    )  # fmt: skip
    group.add_argument(
        "--reports-only", action="store_true",
        help="write the HTML reports again from the output folder; bids_dir need not exist",
    )  # fmt: skip
    group.add_argument(
        "--report-viewer", action="store_true",
        help="embed the interactive viewers in the participant reports (up to 15 MB per session) "
        "instead of writing them to separate files",
    )  # fmt: skip
    group.add_argument("-v", "--verbose", action="count", help="log more details")


def _label(prefix: str) -> Callable[[str], str]:
    def label(text: str) -> str:
        return text.removeprefix(prefix)

    return label


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive integer")
    return int(text)
