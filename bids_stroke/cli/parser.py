"""Parse the command line into :class:`bids_stroke.settings.Settings`."""

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from bids_stroke.errors import UsageError
from bids_stroke.settings import Settings

from . import levels, options


def parse(argv: Sequence[str] | None = None) -> Settings:
    """Parse and check the command line.

    Options may be written with hyphens or underscores.

    Raises
    ------
    StrokeError
        If a file or folder cannot be used, or an option has no effect.
    """
    words = [hyphenated(word) for word in (sys.argv[1:] if argv is None else argv)]
    args = vars(options.build().parse_args(words))
    levels.check(words, options.build())
    args["bids_filters"] = _filters(args["bids_filter_file"])
    args = {name: _frozen(value) for name, value in args.items()}
    args["tracts"] = tuple(map(_absolute_tract, args["tracts"]))
    args["command"] = shlex.join(["bids_stroke", *words])
    args["level"] = args.pop("analysis_level")
    args["work_dir"] = args["work_dir"] or args["output_dir"] / "work"
    args["atlases"] = _pairs(args.pop("atlas"), args.pop("atlas_labels"))
    if args["deterministic"]:
        if args["omp_nthreads"] not in (None, 1):
            raise UsageError("--deterministic uses one thread per session; remove --omp-nthreads.")
        args["omp_nthreads"] = 1
    settings = Settings(**args)
    settings.check()
    return settings


def hyphenated(word: str) -> str:
    """Replace underscores in an option with hyphens; return other words unchanged."""
    if not word.startswith("--"):
        return word
    option, equals, value = word.partition("=")
    return option.replace("_", "-") + equals + value


def _frozen(value: object) -> object:
    """Convert lists to tuples and paths to absolute paths; return other values unchanged."""
    if isinstance(value, Path):
        return value.absolute()
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _absolute_tract(tract: str) -> str:
    """Convert the path of a map or a card to an absolute path; return names unchanged."""
    from bids_stroke.atlases.tract_cards import CARD_EXTENSIONS  # slow import
    from bids_stroke.bids.names import IMAGE_EXTENSIONS

    is_path = tract.endswith((*IMAGE_EXTENSIONS, *CARD_EXTENSIONS))
    return str(Path(tract).absolute()) if is_path else tract


def _pairs(atlases: Sequence[Path], tables: Sequence[Path]) -> tuple[tuple[Path, Path], ...]:
    if len(atlases) != len(tables):
        raise UsageError(
            f"--atlas has {len(atlases)} files and --atlas-labels has {len(tables)}; give one table "
            "for each atlas."
        )
    return tuple(zip(atlases, tables, strict=True))


def _filters(path: Path | None) -> dict[str, dict[str, object]]:
    """Read and check the PyBIDS filters of each contrast."""
    if path is None:
        return {}
    try:
        filters = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} cannot be read as JSON ({error}); fix the file.") from None
    if not isinstance(filters, dict) or not all(isinstance(v, dict) for v in filters.values()):
        raise UsageError(
            f'{path} must have the form {{"t1w": {{"acquisition": "mprage"}}}}; fix the file.'
        )
    for entities in filters.values():
        for value in entities.values():
            if not _is_filter(value):
                raise UsageError(
                    f"{path} filters by {value!r:.60}; use strings, numbers, or lists of them."
                )
    unknown = set(filters) - {"t1w", "flair", "t2w", "trace", "lesion"}
    if unknown:
        raise UsageError(
            f"{path} has the unknown keys {', '.join(sorted(unknown))}; use t1w, flair, t2w, trace or "
            "lesion."
        )
    return filters


def _is_filter(value: object) -> bool:
    values = value if isinstance(value, list) else [value]
    return all(isinstance(item, str | int | float | bool | None) for item in values)
