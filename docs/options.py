"""Write the tables of options in usage.md, from the parser of the command line."""

import argparse
import re
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "studies"))

from common import DOCS, write_section

from bids_stroke.cli import given, levels, options

#: Options whose help states the default.
WITHOUT_DEFAULT = ("output_spaces",)
#: Parts of a help text that are code: JSON, patterns, and names of files.
CODE = re.compile(r"\{.*\}|[\w*.:<>-]*[*<_][\w*.:<>-]*|\w+\.(?:html|tsv)|nnunet:\w+")


def table(actions: list[argparse.Action]) -> str:
    """Markdown of a table of options, the levels that use them, and their meaning."""
    rows = [f"| {_spelling(action)} | {_levels(action)} | {_meaning(action)} |" for action in actions]
    return "\n".join(["| option | level | meaning |", "|---|---|---|", *rows])


def _levels(action: argparse.Action) -> str:
    used = levels.OPTIONS[given.name_of(action)]
    return "both" if len(used) > 1 else used[0]


def _spelling(action: argparse.Action) -> str:
    main, value = given.name_of(action), ""
    if action.nargs != 0:
        metavar = action.metavar or f"{{{','.join(action.choices or ())}}}"
        value += f" {metavar if isinstance(metavar, str) else ' '.join(metavar)}"
        value += " …" * (action.nargs == "+")
    names = [name + value * (name == main) for name in action.option_strings]
    return ", ".join(f"`{name}`" for name in names).replace("|", "\\|")


def _meaning(action: argparse.Action) -> str:
    text = (action.help or "").replace("%%", "%")
    meaning = CODE.sub(lambda match: f"`{match[0]}`", text)
    if action.default and action.dest not in WITHOUT_DEFAULT:
        values = action.default if isinstance(action.default, list) else [action.default]
        meaning += f" (default `{' '.join(map(str, values))}`)"
    return meaning


def main() -> None:
    """Write the table of each group of options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", nargs="?", type=Path, default=DOCS / "usage.md", help="page to update")
    page = parser.parse_args().page
    if not page.is_file():
        parser.error(f"{page} does not exist; give the path of usage.md.")
    for group in options.build()._action_groups[2:]:  # after the arguments and --help
        write_section(f"options: {group.title}", table(group._group_actions), page)


if __name__ == "__main__":
    main()
