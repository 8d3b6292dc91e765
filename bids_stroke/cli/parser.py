"""From the command line to :class:`bids_stroke.settings.Settings`."""

import argparse
import json
from pathlib import Path

from bids_stroke import __version__
from bids_stroke.errors import UsageError
from bids_stroke.execution import resources
from bids_stroke.settings import (
    BRAIN_EXTRACTIONS,
    DEFAULT_MODEL,
    DEFAULT_TRACT,
    DEVICES,
    LEVELS,
    NORMALIZATIONS,
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
    """Defaults where there are any, the description as it is."""

    def _get_help_string(self, action):
        if action.default in (None, False, (), []) or action.help is argparse.SUPPRESS:
            return action.help
        return super()._get_help_string(action)


class _Parser(argparse.ArgumentParser):
    """Options in both spellings: ``--work-dir`` and ``--work_dir``."""

    def parse_args(self, args=None, namespace=None):
        import sys

        return super().parse_args(
            [_hyphenated(arg) for arg in (sys.argv[1:] if args is None else args)], namespace
        )


def _hyphenated(arg):
    if not arg.startswith("--"):
        return arg
    option, equals, value = arg.partition("=")
    return option.replace("_", "-") + equals + value


def build():
    """Make the parser; nothing heavy is imported."""
    parser = _Parser(
        prog="bids_stroke",
        description="Stroke lesion masks, volumes and corticospinal-tract loads from a BIDS dataset.",
        epilog=_EPILOG,
        formatter_class=_Help,
        allow_abbrev=False,
    )
    parser.add_argument("bids_dir", type=Path, help="root of the BIDS dataset")
    parser.add_argument("output_dir", type=Path, help="folder of the derivatives")
    parser.add_argument("analysis_level", choices=LEVELS, help="participant, then group")
    parser.add_argument("--version", action="version", version=f"bids_stroke {__version__}")

    group = parser.add_argument_group("what to process")
    group.add_argument(
        "--participant-label", nargs="+", metavar="LABEL", type=_label("sub-"), default=[],
        help="participants, with or without sub-",
    )  # fmt: skip
    group.add_argument(
        "--session-label", nargs="+", metavar="LABEL", type=_label("ses-"), default=[],
        help="sessions, with or without ses-",
    )  # fmt: skip
    group.add_argument(
        "--bids-filter-file", type=Path, metavar="FILE",
        help='JSON of PyBIDS filters, such as {"t1w": {"acquisition": "mprage"}}',
    )  # fmt: skip
    group.add_argument(
        "--bids-database-dir", type=Path, metavar="DIR", help="PyBIDS index to make or to reuse"
    )
    group.add_argument(
        "--skip-bids-validation", action="store_true", help="do not check the dataset's description"
    )
    group.add_argument(
        "--derivatives", nargs="+", type=Path, metavar="DIR", default=[],
        help="datasets with own brain masks (*desc-brain_mask.nii.gz)",
    )  # fmt: skip
    group.add_argument(
        "--lesion-derivatives", type=Path, metavar="DIR",
        help="dataset with own lesion masks (*label-L*_mask.nii.gz and the like): no segmentation",
    )  # fmt: skip
    group.add_argument(
        "--dry-run", action="store_true",
        help="tell what would run, and why each session was chosen or left out",
    )  # fmt: skip

    group = parser.add_argument_group("how to process")
    group.add_argument(
        "--model", default=DEFAULT_MODEL, metavar="NAME|CARD", help="model of the lesion"
    )
    group.add_argument(
        "--mirror", action="store_true",
        help="average the prediction with that of the mirrored head, in twice the time",
    )  # fmt: skip
    group.add_argument(
        "--brain-extraction", choices=BRAIN_EXTRACTIONS, default="hd-bet",
        help="method; none for images that are brains already",
    )  # fmt: skip
    group.add_argument(
        "--normalization", choices=NORMALIZATIONS, default=NORMALIZATIONS[0],
        help="lesion replaced by the mirrored tissue of the other side, or left out of the cost",
    )  # fmt: skip
    group.add_argument(
        "--output-spaces", nargs="+", metavar="SPACE", default=list(SPACES),
        help=f"TemplateFlow's names of template spaces, beside {SPACES[0]}",
    )  # fmt: skip
    group.add_argument(
        "--tract", dest="tracts", nargs="+", metavar="TRACT", default=[DEFAULT_TRACT],
        help="cards (a name or YAML), or probability maps with space-<template> in their names",
    )  # fmt: skip
    group.add_argument(
        "--cutoffs", dest="cutoffs_ml", nargs=2, type=float, metavar=("LOWER", "UPPER"),
        help="of the category, ml of weighted load (default: those of the tract's card)",
    )  # fmt: skip
    group.add_argument(
        "--atlas", nargs="+", type=Path, metavar="FILE", default=[],
        help="label images to measure the lesion in, with space-<template> in their names",
    )  # fmt: skip
    group.add_argument(
        "--atlas-labels", nargs="+", type=Path, metavar="TSV", default=[],
        help="their tables, with the columns index and name",
    )  # fmt: skip
    group.add_argument("--device", choices=DEVICES, default="auto", help="where networks run")

    group = parser.add_argument_group("group level")
    group.add_argument(
        "--group-by", metavar="COLUMN", help="column of participants.tsv to compare loads by"
    )
    group.add_argument(
        "--ground-truth", type=Path, metavar="DIR",
        help="derivatives with manual lesion masks, to evaluate the masks with",
    )  # fmt: skip
    group.add_argument(
        "--qc-ratings", type=Path, metavar="TSV",
        help="ratings exported by the group report: rejected sessions are left out",
    )  # fmt: skip

    group = parser.add_argument_group("resources")
    group.add_argument(
        "--nprocs", type=_positive, metavar="N", default=resources.cores(), help="cores to use in all"
    )
    group.add_argument(
        "--omp-nthreads", type=_positive, metavar="N",
        help="threads of one session (default: shared out among the sessions at work)",
    )  # fmt: skip
    group.add_argument(
        "--mem-mb", type=_positive, metavar="MB", default=resources.memory_mb(),
        help="memory to use in all",
    )  # fmt: skip
    group.add_argument(
        "--plugin-file", type=Path, metavar="FILE", help="YAML of a Nipype plugin and its arguments"
    )

    group = parser.add_argument_group("running")
    group.add_argument(
        "-w", "--work-dir", type=Path, metavar="DIR",
        help="folder of intermediate results (default: work in the output folder)",
    )  # fmt: skip
    group.add_argument(
        "--clean-workdir", action="store_true",
        help="remove a session's intermediate results when it is complete",
    )  # fmt: skip
    group.add_argument(
        "--stop-on-first-crash", action="store_true", help="start no session after a failure"
    )
    group.add_argument(
        "--strict", action="store_true",
        help="sessions that fail a sanity gate count as failed, at both levels",
    )  # fmt: skip
    group.add_argument(
        "--deterministic", action="store_true",
        help="the same numbers to the last digit on every run, by one thread for each session",
    )  # fmt: skip
    group.add_argument(
        "--reports-only", action="store_true",
        help="make the HTML reports again from the output folder alone",
    )  # fmt: skip
    group.add_argument(
        "--report-viewer", action="store_true",
        help="put the interactive viewers into the participants' reports, which grow by up to 15 MB a "
        "session, not into files beside them",
    )  # fmt: skip
    group.add_argument("-v", "--verbose", action="count", default=0, help="more lines in the log")
    return parser


def parse(argv=None):
    """Parse and check the command line.

    Raises
    ------
    StrokeError
        If a file or folder that was named cannot be used.
    """
    args = vars(build().parse_args(argv))
    args["level"] = args.pop("analysis_level")
    args["bids_filters"] = _filters(args.pop("bids_filter_file"))
    paths = ("bids_dir", "output_dir", "work_dir", "bids_database_dir", "plugin_file", "ground_truth")
    for key in (*paths, "lesion_derivatives", "qc_ratings"):
        args[key] = args[key] and args[key].absolute()
    args["work_dir"] = args["work_dir"] or args["output_dir"] / "work"
    args["derivatives"] = [path.absolute() for path in args["derivatives"]]
    args["atlases"] = _pairs(args.pop("atlas"), args.pop("atlas_labels"))
    if args["deterministic"]:
        if args["omp_nthreads"] not in (None, 1):
            raise UsageError("--deterministic takes one thread a session; leave --omp-nthreads out.")
        args["omp_nthreads"] = 1
    args["cutoffs_ml"] = args["cutoffs_ml"] and tuple(args["cutoffs_ml"])
    for key in ("participant_label", "session_label", "derivatives", "output_spaces", "tracts"):
        args[key] = tuple(args[key])
    settings = Settings(**args)
    settings.check()
    return settings


def _pairs(atlases, tables):
    if len(atlases) != len(tables):
        raise UsageError(
            f"--atlas names {len(atlases)} files and --atlas-labels {len(tables)}; give one table for "
            "each atlas."
        )
    return tuple(
        (path.absolute(), table.absolute()) for path, table in zip(atlases, tables, strict=True)
    )


def _label(start):
    def label(text):
        return text.removeprefix(start)

    return label


def _positive(text):
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive whole number")
    return int(text)


def _filters(path):
    if path is None:
        return {}
    try:
        filters = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} cannot be read as JSON ({error}); mend it.") from None
    if not isinstance(filters, dict) or not all(isinstance(v, dict) for v in filters.values()):
        raise UsageError(f'{path} needs the form {{"t1w": {{"acquisition": "mprage"}}}}.')
    plain = (str, int, float, bool, type(None))
    for value in (value for one in filters.values() for value in one.values()):
        if not all(isinstance(item, plain) for item in (value if isinstance(value, list) else [value])):
            raise UsageError(f"{path} filters by {value!r:.60}; use texts, numbers, or lists of them.")
    unknown = set(filters) - {"t1w", "flair", "t2w", "trace", "lesion"}
    if unknown:
        raise UsageError(
            f"{path} filters {', '.join(sorted(unknown))}; use t1w, flair, t2w, trace and lesion."
        )
    return filters
