"""Interfaces to :mod:`bids_stroke.atlases`."""

from bids_stroke.atlases import loads, regions, super_regions, tracts
from bids_stroke.bids.derivatives import write_tsv
from bids_stroke.spatial import image

from .base import BaseInterfaceInputSpec, SimpleInterface, TraitedSpec, existing, result, traits


class _TablesOutput(TraitedSpec):
    out_tables = traits.List(existing(), desc="one table for each tract or atlas, in their order")


class _TractLoadsInput(BaseInterfaceInputSpec):
    lesion = existing(desc="lesion mask on the template's grid")
    probability = existing(mandatory=False, desc="lesion probability on the same grid")
    tracts = traits.List(traits.Str, mandatory=True, desc="cards or maps")
    cutoffs_ml = traits.List(traits.Float, desc="lower and upper cut-off, in place of the cards'")
    min_component_mm3 = traits.Float(0.0, usedefault=True, desc="smaller components are no lesion")
    identity = traits.Str(desc="tells when the files of the tracts change")


class TractLoads(SimpleInterface):
    """Measure the load of a lesion on tracts."""

    input_spec = _TractLoadsInput
    output_spec = _TablesOutput

    def _run_interface(self, runtime):
        mask = image.load(self.inputs.lesion)
        probability = self.inputs.probability and image.load(self.inputs.probability)
        self._results["out_tables"] = []
        for tract in self.inputs.tracts:
            card = tracts.load_card(tract, self.inputs.cutoffs_ml or None)
            table = loads.measure_loads(
                mask,
                tracts.load_tract(card),
                card,
                probability or None,
                self.inputs.min_component_mm3,
            )
            path = write_tsv(table.reset_index(), result(runtime, f"{card.atlas}.tsv"))
            self._results["out_tables"].append(str(path))
        return runtime


class _RegionSharesInput(BaseInterfaceInputSpec):
    lesion = existing(desc="lesion mask on the template's grid")
    atlases = traits.List(
        traits.Tuple(existing(), existing()), desc="label images and their tables, the user's"
    )


class RegionShares(SimpleInterface):
    """Measure a lesion in the super-regions, and in the regions of the user's atlases."""

    input_spec = _RegionSharesInput
    output_spec = _TablesOutput

    def _run_interface(self, runtime):
        mask = image.load(self.inputs.lesion)
        atlases = [
            super_regions.super_regions(),
            *(regions.load_atlas(*pair) for pair in self.inputs.atlases),
        ]
        self._results["out_tables"] = []
        for one in atlases:
            path = write_tsv(regions.measure_regions(mask, one), result(runtime, f"{one.label}.tsv"))
            self._results["out_tables"].append(str(path))
        return runtime
