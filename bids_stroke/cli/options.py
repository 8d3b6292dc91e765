"""The options of ``bids_stroke``, with the defaults of its settings."""

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
  bids_stroke /data /out participant                      every participant
  bids_stroke /data /out participant --participant-label 01 02
  bids_stroke /data /out group                            table, overlap map and report of all
"""


class _Help(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Defaults where there are any and the help does not state them, the description as it is."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        stated = action.dest == "output_spaces" or action.help is argparse.SUPPRESS
        if stated or action.default in (None, False, (), []):
            return action.help
        return super()._get_help_string(action)


def build() -> argparse.ArgumentParser:
    """Make the parser; nothing heavy is imported.

    Defaults are those of :class:`~bids_stroke.settings.Settings`, except for cores and memory, of
    which the default is what the machine has.
    """
    parser = argparse.ArgumentParser(
        prog="bids_stroke",
        description="Stroke lesion masks, volumes and corticospinal-tract loads from a BIDS dataset.",
        epilog=_EPILOG,
        formatter_class=_Help,
        allow_abbrev=False,
    )
    parser.set_defaults(**_defaults())
    parser.add_argument("bids_dir", type=Path, help="root of the BIDS dataset")
    parser.add_argument("output_dir", type=Path, help="folder of the derivatives")
    parser.add_argument("analysis_level", choices=LEVELS, help="participant, then group")
    parser.add_argument("--version", action="version", version=f"bids_stroke {__version__}")
    _add_selection(parser.add_argument_group("what to process"))
    _add_processing(parser.add_argument_group("how to process"))
    _add_group_level(parser.add_argument_group("group level"))
    _add_resources(parser.add_argument_group("resources"))
    _add_running(parser.add_argument_group("running"))
    return parser


def _defaults() -> dict[str, object]:
    """Defaults of the settings by name, several values as a list, as the parser makes them."""
    defaults = {field.name: field.default for field in fields(Settings) if field.default is not MISSING}
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in defaults.items()
    }


def _add_selection(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--participant-label", nargs="+", metavar="LABEL", type=_label("sub-"),
        help="participants, with or without sub-",
    )  # fmt: skip
    group.add_argument(
        "--session-label", nargs="+", metavar="LABEL", type=_label("ses-"),
        help="sessions, with or without ses-",
    )  # fmt: skip
    group.add_argument(
        "--bids-filter-file", type=Path, metavar="FILE",
        help="JSON of PyBIDS filters for t1w, flair, t2w, trace, and of entities for lesion, such as "
        '{"t1w": {"acquisition": "mprage"}}',
    )  # fmt: skip
    group.add_argument(
        "--bids-database-dir", type=Path, metavar="DIR", help="PyBIDS index to make or to reuse"
    )
    group.add_argument(
        "--skip-bids-validation", action="store_true", help="do not check dataset_description.json"
    )
    group.add_argument(
        "--derivatives", nargs="+", type=Path, metavar="DIR",
        help="datasets with own brain masks (*desc-brain_mask.nii.gz)",
    )  # fmt: skip
    group.add_argument(
        "--lesion-derivatives", type=Path, metavar="DIR",
        help="dataset with own lesion masks (*label-L*_mask.nii.gz and the like): no segmentation",
    )  # fmt: skip
    group.add_argument(
        "--assume-orientation", choices=ORIENTATIONS,
        help="directions of the axes of scans, and of masks drawn on them, whose headers state none "
        "(qform and sform codes 0); without it they are refused",
    )  # fmt: skip
    group.add_argument(
        "--dry-run", action="store_true",
        help="print what would run, which files were chosen, which were not, and why; write nothing",
    )  # fmt: skip


def _add_processing(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--model",
        metavar="NAME|CARD",
        help="model of the lesion: an embedded one, the path of a card, or nnunet:FOLDER of a trained "
        "nnU-Net v2",
    )
    group.add_argument(
        "--mirror", action="store_true",
        help="average the prediction with that of the mirrored head, in twice the time",
    )  # fmt: skip
    group.add_argument(
        "--brain-extraction", choices=BRAIN_EXTRACTIONS,
        help="brain extraction method; none for images that are brains already",
    )  # fmt: skip
    group.add_argument(
        "--normalization", choices=NORMALIZATIONS,
        help="what keeps the lesion from leading the warp to the template: enantiomorphic, it is "
        "replaced by the mirrored tissue of the other hemisphere; masked, it is left out of the cost",
    )  # fmt: skip
    group.add_argument(
        "--output-spaces", nargs="+", metavar="SPACE",
        help=f"additional TemplateFlow spaces; {SPACES[0]} is always written",
    )  # fmt: skip
    group.add_argument(
        "--tract", dest="tracts", nargs="+", metavar="TRACT",
        help="tracts to measure the load on: cards (a name of bids_stroke-tracts list, or YAML), or "
        "probability maps with space-<template> in their names",
    )  # fmt: skip
    group.add_argument(
        "--cutoffs", dest="cutoffs_ml", nargs=2, type=float, metavar=("LOWER", "UPPER"),
        help="cut-offs of the category, ml of weighted load (default: those of the tract's card)",
    )  # fmt: skip
    group.add_argument(
        "--atlas", nargs="+", type=Path, metavar="FILE", default=[],
        help="atlases to measure the lesion in, with space-<template> in their names: label images, or "
        "4D images with a volume of probabilities for each region",
    )  # fmt: skip
    group.add_argument(
        "--atlas-labels", nargs="+", type=Path, metavar="TSV", default=[],
        help="one table per --atlas file, in the same order, with the columns index and name",
    )  # fmt: skip
    group.add_argument(
        "--device", choices=DEVICES, help="where networks run; auto takes a GPU if there is one"
    )


def _add_group_level(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--group-by", metavar="COLUMN", help="column of participants.tsv to compare loads by"
    )
    group.add_argument(
        "--ground-truth", type=Path, metavar="DIR",
        help="derivatives with manual lesion masks; the evaluation is written into the folder "
        "evaluation and into group.html",
    )  # fmt: skip
    group.add_argument(
        "--qc-ratings", type=Path, metavar="TSV",
        help="ratings exported by the group report: sessions rated reject are left out of tables, "
        "maps, report and evaluation",
    )  # fmt: skip


def _add_resources(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--nprocs",
        type=_positive,
        metavar="N",
        default=resources.cores(),
        help="cores to use in all; by default all that the machine, container or job allows",
    )
    group.add_argument(
        "--omp-nthreads", type=_positive, metavar="N",
        help="threads of one session (default: shared out among the sessions at work)",
    )  # fmt: skip
    group.add_argument(
        "--mem-mb", type=_positive, metavar="MB", default=resources.memory_mb(),
        help="memory to use in all; by default all that the machine, container or job allows",
    )  # fmt: skip
    group.add_argument(
        "--plugin-file",
        type=Path,
        metavar="FILE",
        help="YAML of a Nipype plugin and its arguments, for the steps inside a session",
    )


def _add_running(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "-w", "--work-dir", type=Path, metavar="DIR",
        help="folder of intermediate results (default: work in the output folder)",
    )  # fmt: skip
    group.add_argument(
        "--clean-workdir", action="store_true",
        help="remove a session's intermediate results when it is complete",
    )  # fmt: skip
    group.add_argument(
        "--stop-on-first-crash", action="store_true",
        help="start no further session after one failed or was locked by another run",
    )  # fmt: skip
    group.add_argument(
        "--strict", action="store_true",
        help="sessions that fail a sanity gate count as failed, at both levels; group leaves them out",
    )  # fmt: skip
    group.add_argument(
        "--deterministic", action="store_true",
        help="the same numbers to the last digit on every run, by one thread for each session; "
        "intermediate results are kept apart from those of other runs",
    )  # fmt: skip
    group.add_argument(
        "--reports-only", action="store_true",
        help="make the HTML reports again from the output folder alone; bids_dir need not exist",
    )  # fmt: skip
    group.add_argument(
        "--report-viewer", action="store_true",
        help="put the interactive viewers into the participants' reports, which grow by up to 15 MB a "
        "session, not into files beside them",
    )  # fmt: skip
    group.add_argument("-v", "--verbose", action="count", help="more lines in the log")


def _label(prefix: str) -> Callable[[str], str]:
    def label(text: str) -> str:
        return text.removeprefix(prefix)

    return label


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive whole number")
    return int(text)
