"""Interfaces to :mod:`bids_stroke.atlases`."""

from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.affines import voxel_sizes

from bids_stroke.atlases import loads, super_regions, supplied, tract_cards, tracts
from bids_stroke.bids.derivatives import write_tsv
from bids_stroke.spatial import grid, image

from .base import ImageInterface, Outputs, existing, image_file, inputs, outputs, traits

DISPLAYED_MM = 2.0  # smallest voxel size of tracts in figures
_TABLES = "one table for each tract or atlas, in the same order"


class TractLoads(ImageInterface):
    """Measure the lesion load of tracts."""

    input_spec = inputs(
        lesion=image_file("lesion mask on the grid of the template"),
        probability=image_file("lesion probability on the same grid", mandatory=False),
        tracts=traits.List(traits.Str, mandatory=True, desc="tract cards or probability maps"),
        cutoffs_ml=traits.List(traits.Float, desc="lower and upper cut-off, instead of the cards'"),
        min_component_mm3=traits.Float(0.0, usedefault=True, desc="smallest lesion component"),
        identity=traits.Str(desc="changes when the tract files change"),
    )
    output_spec = outputs(out_tables=traits.List(existing(), desc=_TABLES))

    def _run_on(
        self, folder: Path, lesion: nib.Nifti1Image, probability: nib.Nifti1Image | None = None
    ) -> Outputs:
        paths = []
        for tract in self.inputs.tracts:
            card = tract_cards.load_card(tract, self.inputs.cutoffs_ml or None)
            table = loads.measure_loads(
                lesion, tracts.load_tract(card), card, probability, self.inputs.min_component_mm3
            )
            paths.append(write_tsv(table.reset_index(), folder / f"{card.atlas}.tsv"))
        return {"out_tables": paths}


class MoveTracts(ImageInterface):
    """Move tracts from the template to the space of an image, for display."""

    input_spec = inputs(
        in_file=image_file("image"),
        from_template=existing("transform from the template to the image", mandatory=False),
        tracts=traits.List(traits.Str, mandatory=True, desc="tract cards or probability maps"),
        identity=traits.Str(desc="changes when the tract files change"),
    )
    output_spec = outputs(out_files=traits.List(existing(), desc="probability of each tract"))

    def _run_on(self, folder: Path, in_file: nib.Nifti1Image) -> Outputs:
        coarse = grid.regrid(in_file, np.maximum(voxel_sizes(in_file.affine), DISPLAYED_MM))
        transform = self.inputs.get_traitsfree().get("from_template")
        transforms = [transform] if transform else []
        paths = []
        for tract in self.inputs.tracts:
            card = tract_cards.load_card(tract)
            moved = tracts.move_tract(card, coarse, transforms)
            paths.append(image.save(moved, folder / f"{card.atlas}.nii.gz"))
        return {"out_files": paths}


class RegionShares(ImageInterface):
    """Measure a lesion in the super-regions and in the regions of user-supplied atlases."""

    input_spec = inputs(
        lesion=image_file("lesion mask on the grid of the template"),
        atlases=traits.List(
            traits.Tuple(existing(), existing()), desc="user-supplied atlases and label tables"
        ),
    )
    output_spec = outputs(out_tables=traits.List(existing(), desc=_TABLES))

    def _run_on(self, folder: Path, lesion: nib.Nifti1Image) -> Outputs:
        loaded = (supplied.load_atlas(*pair) for pair in self.inputs.atlases)
        paths = [
            write_tsv(supplied.measure(lesion, atlas), folder / f"{atlas.label}.tsv")
            for atlas in (super_regions.super_regions(), *loaded)
        ]
        return {"out_tables": paths}
