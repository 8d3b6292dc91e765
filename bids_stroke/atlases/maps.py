"""The tracts and atlases on which the lesions of a run are measured."""

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from bids_stroke.bids import names
from bids_stroke.errors import ResourceError, UsageError
from bids_stroke.spatial import image, template_transforms
from bids_stroke.spatial.templates import TEMPLATE
from bids_stroke.utils.contents import content_key

from . import load_columns, tract_cards
from .regions import COLUMNS
from .super_regions import super_regions_card
from .supplied import check_atlas
from .tract_cards import TractCard


@dataclass(frozen=True)
class Maps:
    """Tracts (names, cards or maps), the user's cut-offs of their categories, and the user's atlases
    (label image, table), on which the lesions of a run are measured."""

    tracts: tuple[str, ...] = (tract_cards.JUELICH,)
    cutoffs_ml: tuple[float, float] | None = None
    atlases: tuple[tuple[Path, Path], ...] = ()

    @cached_property
    def cards(self) -> list[TractCard]:
        """The cards of the tracts."""
        return [tract_cards.load_card(tract, self.cutoffs_ml) for tract in self.tracts]

    @cached_property
    def columns(self) -> dict[str, dict[str, dict[str, object]]]:
        """Descriptions of the columns of each table by the value of its ``atlas-`` entity, in order.

        Raises
        ------
        UsageError
            If two have the same.
        """
        columns = [(card.atlas, load_columns.COLUMNS) for card in self.cards]
        columns += [(super_regions_card().atlas, COLUMNS)]
        columns += [(names.label_of(path), COLUMNS) for path, _ in self.atlases]
        labels = [label for label, _ in columns]
        twice = sorted(label for label in set(labels) if labels.count(label) > 1)
        if twice:
            raise UsageError(
                f"Two tracts or atlases are named {twice[0]}; rename the file of one of them."
            )
        return dict(columns)

    @property
    def files(self) -> list[Path]:
        """The files of tracts and atlases that are not those of packages: the user's, and those that
        were downloaded."""
        tracts = [path for card in self.cards if not card.package for path in card.paths]
        return [*tracts, *(path for path, _ in self.atlases)]

    @property
    def registered_spaces(self) -> list[str]:
        """The template spaces of tracts and atlases from which the package has no transform."""
        spaces = [card.space for card in self.cards]
        spaces += [names.space_of(path) for path, _ in self.atlases]
        return [s for s in dict.fromkeys(spaces) if not template_transforms.has_transform(s)]

    def check(self) -> dict[str, dict[str, dict[str, object]]]:
        """Check the files once, before a session is started, and return
        :attr:`bids_stroke.atlases.maps.Maps.columns`.

        Raises
        ------
        ResourceError, UsageError, ImageError
            If a file or its transform to the template is missing, if two have the same name, or if a
            header states no orientation, or the size of no head.
        """
        for card in self.cards:
            tract_cards.check_files(card)
            template_transforms.load_transform(card.space, TEMPLATE)
            if card.is_supplied and not card.volumes:
                for path in card.paths:
                    image.check_header(path)
        for path, _ in self.atlases:
            if not path.is_file():
                raise ResourceError(f"{path} does not exist; check --atlas.")
            check_atlas(path)
            template_transforms.load_transform(names.space_of(path), TEMPLATE)
        for _, table in self.atlases:
            if not table.is_file():
                raise ResourceError(f"{table} does not exist; check --atlas-labels.")
        return self.columns

    def identity(self) -> str:
        """What the measurements depend on, as text; files are identified by name and content."""
        files = [*self.files, *(table for _, table in self.atlases)]
        contents = [[path.name, content_key(path)] for path in files]
        cards = [
            asdict(card) | {"file": [Path(file).name for file in card.files]} for card in self.cards
        ]
        return json.dumps([cards, asdict(super_regions_card()), contents])
