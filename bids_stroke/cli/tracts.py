"""``bids_stroke-tracts``: list tracts, show their cards, and download their files."""

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial

from bids_stroke.errors import UsageError

from .command import CommandParser, run_subcommand
from .downloads import download_all


def parser() -> CommandParser:
    """Return the parser of the command."""
    command = CommandParser(
        prog="bids_stroke-tracts",
        description="List, show and download the tracts that lesion loads are measured on. TRACT is "
        "the name of a tract or the path of a tract card.",
    )
    commands = command.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("list", help="list the tracts and whether their files are installed")
    for name, text in (
        ("show", "show the card of a tract"),
        ("fetch", "download the files of a tract"),
    ):
        commands.add_parser(name, help=text).add_argument("tract", metavar="TRACT")
    commands.choices["fetch"].add_argument(
        "--accept-license",
        action="store_true",
        help="accept the license; without this option, the license is shown",
    )
    return command


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return the exit status."""
    return run_subcommand(parser(), _COMMANDS, argv)


def _list(_: argparse.Namespace) -> int:
    from bids_stroke.atlases import tract_cards

    for name in tract_cards.names():
        card = tract_cards.load_card(name)
        is_installed = all(path.is_file() for path in card.paths)
        print(f"{name}\t{card.name}\t{'installed' if is_installed else 'not downloaded'}")
    return 0


def _show(arguments: argparse.Namespace) -> int:
    from bids_stroke.atlases import tract_cards
    from bids_stroke.utils import references

    card = tract_cards.load_card(arguments.tract)
    cutoffs = card.cutoffs_ml
    rows = {
        "name": card.name,
        "files": " ".join(map(str, card.paths)),
        "space": card.space,
        "axis": card.axis or "none",
        "symmetric": "yes" if card.symmetric else "no",
        "cut-offs": f"{cutoffs['lower']:g} and {cutoffs['upper']:g} ml" if cutoffs else "none",
        "license": card.licence,
        "citation": references.expand(card.citation),
    }
    for key, value in rows.items():
        print(f"{key + ':':11}{' '.join(value.split())}")
    return 0


def _fetch(arguments: argparse.Namespace) -> int:
    from bids_stroke.atlases import tract_cards

    card = tract_cards.load_card(arguments.tract)
    if not arguments.accept_license:
        print(f"License of {arguments.tract}: {' '.join(card.licence.split())}")
        raise UsageError("Run the command again with --accept-license to accept the license.")
    download_all({card.name: partial(tract_cards.fetch, card)})
    return 0


_COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "list": _list,
    "show": _show,
    "fetch": _fetch,
}
if __name__ == "__main__":
    sys.exit(main())
