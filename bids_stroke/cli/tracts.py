"""``bids_stroke-tracts``: list tracts, show their cards, and download their files."""

import sys
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING

from .command import CommandParser
from .map_cards import CardCommand

if TYPE_CHECKING:  # slow to import
    from bids_stroke.atlases.tract_cards import TractCard


def parser() -> CommandParser:
    """Return the parser of the command."""
    return _COMMAND.parser()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return the exit status."""
    return _COMMAND.run(argv)


def _load_module() -> ModuleType:
    from bids_stroke.atlases import tract_cards

    return tract_cards


def _describe(card: "TractCard") -> Mapping[str, str]:
    cutoffs = card.cutoffs_ml
    return {
        "space": card.space,
        "axis": card.axis or "none",
        "symmetric": "yes" if card.symmetric else "no",
        "cut-offs": f"{cutoffs['lower']:g} and {cutoffs['upper']:g} ml" if cutoffs else "none",
    }


_COMMAND = CardCommand(
    "tract",
    "tracts",
    "List, show and download the tracts that lesion loads are measured on.",
    _load_module,
    _describe,
)
if __name__ == "__main__":
    sys.exit(main())
