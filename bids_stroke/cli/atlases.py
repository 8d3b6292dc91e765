"""``bids_stroke-atlases``: list atlases, show their cards, and download their files."""

import sys
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING

from .command import CommandParser
from .map_cards import CardCommand

if TYPE_CHECKING:  # slow to import
    from bids_stroke.atlases.atlas_cards import AtlasCard


def parser() -> CommandParser:
    """Return the parser of the command."""
    return _COMMAND.parser()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return the exit status."""
    return _COMMAND.run(argv)


def _load_module() -> ModuleType:
    from bids_stroke.atlases import atlas_cards

    return atlas_cards


def _describe(card: "AtlasCard") -> Mapping[str, str]:
    return {"space": card.space, "regions": ", ".join(card.regions.values())}


_COMMAND = CardCommand(
    "atlas",
    "atlases",
    "List, show and download the atlases in whose regions lesions are measured.",
    _load_module,
    _describe,
)
if __name__ == "__main__":
    sys.exit(main())
