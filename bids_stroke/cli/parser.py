"""Parse the command line into :class:`bids_stroke.settings.Settings`."""

import json
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bids_stroke.data import DATA
from bids_stroke.errors import UsageError
from bids_stroke.execution import resources
from bids_stroke.settings import NNUNET, SPACES, Settings

from . import config_file, given, levels, option_groups, options

#: Native spaces of ``--output-spaces``, in which outputs are always written; names as in fMRIPrep.
_NATIVE = ("adc", "anat", "flair", "native", "t1w", "t2w", "trace")


def parse(argv: Sequence[str] | None = None) -> Settings:
    """Parse and check the command line.

    Raises
    ------
    StrokeError
        If a file or folder cannot be used, or an option has no effect.
    """
    return make_settings(read(argv))


def read(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Return the values of all arguments by name.

    Values of the command line take precedence over those of ``--config-file``, and these over the
    defaults. ``command`` is the command line.

    Raises
    ------
    UsageError
        If a value is not valid, or an option has no effect.
    """
    words = sys.argv[1:] if argv is None else argv
    values = vars(options.build().parse_args(words))
    given_values = given.read_given(words, options.build())
    level, path = values["analysis_level"], values["config_file"]
    file_values = config_file.read(path, level) if path else {}
    levels.check_levels(level, given.option_names(given_values, options.build()))
    all_names = given.option_names([*given_values, *file_values], options.build())
    try:
        levels.check_combination(level, all_names)
    except UsageError as error:
        raise UsageError(f"With the options of {path}, {error}" if path else str(error)) from None
    command = shlex.join([options.PROG, *words])
    return {**values, **file_values, **given_values, "command": command}


def make_settings(values: Mapping[str, Any]) -> Settings:
    """Create and check the settings of a run from the values of :func:`read`.

    Raises
    ------
    StrokeError
        If a file or folder cannot be used.
    """
    args = absolute(values)
    for option in option_groups.WITHOUT_EFFECT:
        args.pop(given.key_of(option))
    args["bids_filters"] = _filters(args["bids_filter_file"])
    args["nprocs"] = args["nprocs"] or resources.cores()
    args["mem_mb"] = args["mem_mb"] or resources.memory_mb()
    args["level"] = args.pop("analysis_level")
    args["work_dir"] = args["work_dir"] or args["output_dir"] / "work"
    args["atlases"] = _pairs(args.pop("atlas"), args.pop("atlas_labels"))
    spaces = tuple(space for space in args["output_spaces"] if not _is_native(space))
    args["output_spaces"] = spaces or SPACES
    if args["deterministic"]:
        if args["omp_nthreads"] not in (None, 1):
            raise UsageError("--deterministic uses one thread per session; remove --omp-nthreads.")
        args["omp_nthreads"] = 1
    settings = Settings(**args)
    settings.check()
    return settings


def notices(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each given option that has no effect or a reduced effect."""
    for option, reason in option_groups.WITHOUT_EFFECT.items():
        if values.get(given.key_of(option)):
            yield f"{option} has no effect, because {reason}."
    if values.get("write_graph") and not shutil.which("dot"):
        yield "--write-graph writes only .dot files, because the program dot of Graphviz was not found."
    native = list(filter(_is_native, values.get("output_spaces", ())))
    if native:
        names = ", ".join(native)
        yield (
            f"--output-spaces {names} has no effect, because outputs in native space are always "
            "written."
        )


def _is_native(space: str) -> bool:
    """Return whether an output space, such as ``T1w:res-native``, is one of the native spaces."""
    return space.partition(":")[0].lower() in _NATIVE


def absolute(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of arguments with absolute paths, and tuples instead of lists."""
    args: dict[str, Any] = {name: _frozen(value) for name, value in values.items()}
    for name in {"tracts", "atlas"} & args.keys():
        args[name] = tuple(map(_absolute_map, args[name]))
    if "model" in args:
        args["model"] = _absolute_model(args["model"])
    if args.get("brain_extraction", "").startswith(NNUNET):
        args["brain_extraction"] = _absolute_model(args["brain_extraction"])
    return args


def _frozen(value: object) -> object:
    """Convert lists to tuples and paths to absolute paths; return other values unchanged."""
    if isinstance(value, Path):
        return value.absolute()
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _absolute_map(tract: str) -> str:
    """Convert the path of a map or a card to an absolute path; return names unchanged."""
    from bids_stroke.atlases.tract_cards import CARD_EXTENSIONS  # slow import
    from bids_stroke.bids.names import IMAGE_EXTENSIONS

    is_path = tract.endswith((*IMAGE_EXTENSIONS, *CARD_EXTENSIONS))
    return str(Path(tract).absolute()) if is_path else tract


def _absolute_model(model: str) -> str:
    """Convert the path of a card or of an nnU-Net to an absolute path; return names unchanged."""
    prefix = NNUNET if model.startswith(NNUNET) else ""
    path, selection, folds = model.removeprefix(prefix).partition("?")
    is_name = (DATA / "models" / f"{model}.yaml").is_file()
    if is_name or not Path(path).exists():
        return model
    return f"{prefix}{Path(path).absolute()}{selection}{folds}"


def _pairs(atlases: Sequence[str], tables: Sequence[Path]) -> tuple[tuple[Path, Path], ...]:
    """Return the image of each atlas with its table or its card."""
    if not (atlases or tables):
        return ()
    from bids_stroke.atlases import atlas_cards  # slow import
    from bids_stroke.bids.names import IMAGE_EXTENSIONS

    images = [atlas for atlas in atlases if atlas.endswith(IMAGE_EXTENSIONS)]
    if len(images) != len(tables):
        raise UsageError(
            f"--atlas has {len(images)} files and --atlas-labels has {len(tables)}; give one table "
            "for each atlas."
        )
    remaining = iter(tables)

    def pair(atlas: str) -> tuple[Path, Path]:
        if atlas in images:
            return Path(atlas), next(remaining)
        card = atlas_cards.load_card(atlas)
        return card.image, card.path

    return tuple(map(pair, atlases))


def _filters(path: Path | None) -> dict[str, dict[str, object]]:
    """Read and check the PyBIDS filters of each contrast."""
    if path is None:
        return {}
    try:
        filters = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise UsageError(f"{path} does not exist; check --bids-filter-file.") from None
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
    from bids_stroke.bids.names import CONTRASTS  # slow import

    images = list(map(str.lower, CONTRASTS))
    unknown = set(filters) - {*images, "lesion"}
    if unknown:
        raise UsageError(
            f"{path} has the unknown keys {', '.join(sorted(unknown))}; use {', '.join(images)} or "
            "lesion."
        )
    return filters


def _is_filter(value: object) -> bool:
    values = value if isinstance(value, list) else [value]
    return all(isinstance(item, str | int | float | bool | None) for item in values)
