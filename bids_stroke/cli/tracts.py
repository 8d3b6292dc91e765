"""``bids_stroke-tracts``: list the tracts, show their cards, and download their files."""

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial

from bids_stroke.errors import UsageError

from . import subcommands
from .downloads import download_all


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    command = argparse.ArgumentParser(
        prog="bids_stroke-tracts",
        description="Tracts that loads are measured on: TRACT is a name, or the path of a card.",
    )
    commands = command.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("list", help="names of the tracts, and whether their files are here")
    for name, text in (("show", "show the card of a tract"), ("fetch", "download its files")):
        commands.add_parser(name, help=text).add_argument("tract", metavar="TRACT")
    commands.choices["fetch"].add_argument(
        "--accept-licence", action="store_true", help="accept the terms that are shown without it"
    )
    return command


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    return subcommands.run(parser(), _COMMANDS, argv)


def _list(_: argparse.Namespace) -> int:
    from bids_stroke.atlases import tract_cards

    for name in tract_cards.names():
        card = tract_cards.load_card(name)
        here = all(path.is_file() for path in card.paths)
        print(f"{name}\t{card.name}\t{'here' if here else 'to be fetched'}")
    return 0


def _show(arguments: argparse.Namespace) -> int:
    from bids_stroke.atlases import tract_cards

    card = tract_cards.load_card(arguments.tract)
    cutoffs = card.cutoffs_ml
    rows = {
        "name": card.name,
        "files": " ".join(map(str, card.paths)),
        "space": card.space,
        "axis": card.axis or "none",
        "symmetric": "yes" if card.symmetric else "no",
        "cut-offs": f"{cutoffs['lower']:g} and {cutoffs['upper']:g} ml" if cutoffs else "none",
        "licence": card.licence,
        "citation": card.citation,
    }
    for key, value in rows.items():
        print(f"{key + ':':11}{' '.join(value.split())}")
    return 0


def _fetch(arguments: argparse.Namespace) -> int:
    from bids_stroke.atlases import tract_cards

    card = tract_cards.load_card(arguments.tract)
    if not arguments.accept_licence:
        print(f"The terms of {arguments.tract}: {' '.join(card.licence.split())}")
        raise UsageError("Give the command again with --accept-licence to accept them.")
    download_all({card.name: partial(tract_cards.fetch, card)})
    return 0


_COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "list": _list,
    "show": _show,
    "fetch": _fetch,
}
if __name__ == "__main__":
    sys.exit(main())
