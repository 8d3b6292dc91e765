"""Tracts and atlases in which the lesions of a run are measured."""

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from bids_stroke.bids import names
from bids_stroke.errors import UsageError
from bids_stroke.spatial import image, template_transforms
from bids_stroke.spatial.templates import TEMPLATE
from bids_stroke.utils.contents import content_key

from . import atlas_cards, load_columns, supplied, tract_cards
from .atlas_cards import AtlasCard
from .regions import COLUMNS
from .super_regions import super_regions_card
from .tract_cards import TractCard


@dataclass(frozen=True)
class Maps:
    """Tracts and atlases in which the lesions of a run are measured.

    ``tracts`` holds names, cards or maps of tracts; ``cutoffs_ml`` user-supplied cut-offs of their
    categories; ``atlases`` the images of atlases with their label tables or cards.
    """

    tracts: tuple[str, ...] = (tract_cards.JUELICH,)
    cutoffs_ml: tuple[float, float] | None = None
    atlases: tuple[tuple[Path, Path], ...] = ()

    @cached_property
    def cards(self) -> list[TractCard]:
        """Cards of the tracts."""
        return [tract_cards.load_card(tract, self.cutoffs_ml) for tract in self.tracts]

    @property
    def atlas_cards(self) -> list[AtlasCard]:
        """Cards of the atlases that have one."""
        return [atlas_cards.load_card(path) for _, path in self.atlases if atlas_cards.is_card(path)]

    @cached_property
    def columns(self) -> dict[str, dict[str, dict[str, object]]]:
        """Column descriptions of each table, by the value of its ``atlas-`` entity, in order.

        Raises
        ------
        UsageError
            If two tracts or atlases have the same ``atlas-`` entity.
        """
        columns = [(card.atlas, load_columns.COLUMNS) for card in self.cards]
        columns += [(super_regions_card().atlas, COLUMNS)]
        columns += [(names.label_of(path), COLUMNS) for path, _ in self.atlases]
        # Columns of the group table, and files of some systems, do not distinguish case.
        labels = [label.lower() for label, _ in columns]
        duplicates = [label for label, _ in columns if labels.count(label.lower()) > 1]
        if duplicates:
            raise UsageError(
                f"Two tracts or atlases have the name {duplicates[-1]}; rename one of the files."
            )
        return dict(columns)

    @property
    def files(self) -> list[Path]:
        """User-supplied and downloaded files of tracts and atlases, without those of installed
        packages."""
        tracts = [path for card in self.cards if not card.package for path in card.paths]
        return [*tracts, *(path for path, _ in self.atlases)]

    @property
    def registered_spaces(self) -> list[str]:
        """Template spaces of tracts and atlases without a transform to the template in the package."""
        spaces = [card.space for card in self.cards]
        spaces += [names.space_of(path) for path, _ in self.atlases]
        return [s for s in dict.fromkeys(spaces) if not template_transforms.has_transform(s)]

    def check(self) -> dict[str, dict[str, dict[str, object]]]:
        """Check all files and return :attr:`bids_stroke.atlases.maps.Maps.columns`.

        A run calls this once, before its first session.

        Raises
        ------
        ResourceError, UsageError, ImageError
            If a file or its transform to the template is missing, if two tracts or atlases have the
            same name, or if a header lacks an orientation or the field of view cannot hold a head.
        """
        for card in self.cards:
            tract_cards.check_files(card)
            template_transforms.load_transform(card.space, TEMPLATE)
            if card.is_supplied and not card.volumes:
                for path in card.paths:
                    image.check_header(path)
        for atlas_card in self.atlas_cards:
            atlas_cards.check_image(atlas_card)
        for path, _ in self.atlases:
            if not path.is_file():
                raise UsageError(f"{path} does not exist; check --atlas.")
            supplied.check_atlas(path)
            template_transforms.load_transform(names.space_of(path), TEMPLATE)
        for _, table in self.atlases:
            supplied.read_region_names(table)
        return self.columns

    def identity(self) -> str:
        """Describe everything that the measurements depend on; files by name and content."""
        files = [*self.files, *(table for _, table in self.atlases)]
        contents = [[path.name, content_key(path)] for path in files]
        cards = [
            asdict(card) | {"file": [Path(file).name for file in card.files]} for card in self.cards
        ]
        return json.dumps([cards, asdict(super_regions_card()), contents])
