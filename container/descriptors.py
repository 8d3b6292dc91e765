"""Write the Boutiques descriptor of bids_stroke, and its version in the files for other platforms.

    python container/descriptors.py

The descriptor, ``nipoppy/descriptor.json``, has the options of the command-line parser. Run the script
after a change of the options or of the version.
"""

import argparse
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bids_stroke import __version__
from bids_stroke.cli import given, levels, option_groups, options
from bids_stroke.settings import LEVELS

FOLDER = Path(__file__).parent
DESCRIPTOR = FOLDER / "nipoppy" / "descriptor.json"
#: Folders that a run creates. Boutiques mounts inputs of the type File, which must exist.
CREATED = ("output_dir", "work_dir", "bids_database_dir")
TYPES = {
    Path: {"type": "File"},
    float: {"type": "Number"},
    option_groups.positive: {"type": "Number", "integer": True, "minimum": 1},
}
#: Patterns of the version. BABS uses it in file names, with hyphens.
VERSIONS = {
    "nipoppy/config.json": r'(?<="VERSION": ")[^"]*',
    "neurodesk/build.yaml": r"(?<=^version: ).*",
    "neurodesk/fulltest.yaml": r"(?<=^version: ).*",
    "babs.yaml": r'(?<=^  bids_stroke: ")[^"]*',
}


def descriptor() -> dict[str, Any]:
    """Return the Boutiques descriptor.

    Defaults are part of the descriptions only: a default that is passed as an option would be an error
    at the level that does not have the option.
    """
    parser = options.build()
    arguments = [action for action in parser._actions if not action.option_strings]
    inputs = [_input(action) for action in [*arguments, *given.named_actions(parser).values()]]
    (level,) = (entry for entry in inputs if entry["id"] == "analysis_level")
    level["value-disables"] = {
        name: [given.key_of(option) for option, used in levels.OPTIONS.items() if name not in used]
        for name in LEVELS
    }
    return {
        "name": options.PROG,
        "description": " ".join((parser.description or "").split()),
        "author": "bids_stroke developers",
        "tool-version": __version__,
        "schema-version": "0.5",
        "command-line": " ".join([options.PROG, *(entry["value-key"] for entry in inputs)]),
        "container-image": {"type": "docker", "image": options.PROG},
        # The default, sh -l, replaces the PATH of the image.
        "shell": "/bin/bash",
        "inputs": inputs,
        "output-files": [
            {
                "id": "outputs",
                "name": "outputs",
                "description": "BIDS derivatives, reports and tables",
                "path-template": "[OUTPUT_DIR]",
                "optional": False,
            }
        ],
        "error-codes": [
            {"code": 1, "description": "A session failed; the log states the reason."},
            {"code": 2, "description": "An option or a folder cannot be used."},
        ],
        "suggested-resources": {"cpu-cores": 4, "ram": 6},
        "tags": {"domain": ["neuroinformatics", "mri"]},
    }


def _input(action: argparse.Action) -> dict[str, Any]:
    """Return the input of an argument or option."""
    is_option = bool(action.option_strings)
    key = given.key_of(given.name_of(action)) if is_option else action.dest
    entry = {
        "id": key,
        "name": key.replace("_", " "),
        "description": options.Help(options.PROG)._expand_help(action),
        "value-key": f"[{key.upper()}]",
        "optional": is_option,
        **_values(action),
    }
    return entry | ({"command-line-flag": given.name_of(action)} if is_option else {})


def _values(action: argparse.Action) -> dict[str, Any]:
    """Return the type, the choices and the number of the values of an argument or option."""
    if action.nargs == 0:
        return {"type": "Flag"}
    values: dict[str, Any] = {"type": "String"}
    if action.type in TYPES and action.dest not in CREATED:
        values = dict(TYPES[action.type])
    if action.choices:
        values["value-choices"] = list(action.choices)
    if action.nargs:
        values["list"] = True
    if isinstance(action.nargs, int):
        values |= {"min-list-entries": action.nargs, "max-list-entries": action.nargs}
    return values


def contents() -> Iterator[tuple[Path, str]]:
    """Yield the path and the text of each file."""
    yield DESCRIPTOR, json.dumps(descriptor(), indent=2) + "\n"
    for name, pattern in VERSIONS.items():
        version = __version__.replace(".", "-") if name == "babs.yaml" else __version__
        path = FOLDER / name
        yield path, re.sub(pattern, version, path.read_text(), flags=re.MULTILINE)


def main() -> None:
    """Write the files."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    for path, text in contents():
        path.write_text(text)


if __name__ == "__main__":
    main()
