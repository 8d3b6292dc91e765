"""Commands that list, show and fetch the cards of tracts or of atlases."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any

from bids_stroke.errors import UsageError

from .command import CommandParser, run_subcommand
from .downloads import download_all


@dataclass(frozen=True)
class CardCommand:
    """Command with the subcommands list, show and fetch.

    Attributes
    ----------
    kind, plural : str
        ``tract`` and ``tracts``, or ``atlas`` and ``atlases``.
    description : str
    load_module : callable
        Returns the module of the cards, which is slow to import.
    describe : callable
        Returns the properties of a card by name, without its name, license and citation.
    """

    kind: str
    plural: str
    description: str
    load_module: Callable[[], ModuleType]
    describe: Callable[[Any], Mapping[str, str]]

    def parser(self) -> CommandParser:
        """Return the parser of the command."""
        command = CommandParser(
            prog=f"bids_stroke-{self.plural}",
            description=f"{self.description} {self.kind.upper()} is the name or the path of a card.",
        )
        commands = command.add_subparsers(dest="command", required=True, metavar="COMMAND")
        commands.add_parser(
            "list", help=f"list the {self.plural} and whether their files are installed"
        )
        for name, text in (("show", "show the card"), ("fetch", "download the files")):
            subcommand = commands.add_parser(name, help=f"{text} of the {self.kind}")
            subcommand.add_argument("card", metavar=self.kind.upper())
        commands.choices["fetch"].add_argument(
            "--accept-license",
            action="store_true",
            help="accept the license; without this option, the license is shown",
        )
        return command

    def run(self, argv: Sequence[str] | None) -> int:
        """Run the command and return the exit status."""
        commands = {"list": self._list, "show": self._show, "fetch": self._fetch}
        return run_subcommand(self.parser(), commands, argv)

    def _list(self, _: argparse.Namespace) -> int:
        module = self.load_module()
        for name in module.names():
            card = module.load_card(name)
            is_installed = all(path.is_file() for path in card.paths)
            print(f"{name}\t{card.name}\t{'installed' if is_installed else 'not downloaded'}")
        return 0

    def _show(self, arguments: argparse.Namespace) -> int:
        from bids_stroke.utils import references

        card = self.load_module().load_card(arguments.card)
        described = {"license": card.licence, "citation": references.expand(card.citation)}
        rows = {"name": card.name, "files": " ".join(map(str, card.paths)), **self.describe(card)}
        for key, value in (rows | described).items():
            print(f"{key + ':':11}{' '.join(value.split())}")
        return 0

    def _fetch(self, arguments: argparse.Namespace) -> int:
        module = self.load_module()
        card = module.load_card(arguments.card)
        if not arguments.accept_license:
            print(f"License of {arguments.card}: {' '.join(card.licence.split())}")
            raise UsageError("Run the command again with --accept-license to accept the license.")
        download_all({card.name: partial(module.fetch, card)})
        return 0
