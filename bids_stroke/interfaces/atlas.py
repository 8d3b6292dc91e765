"""Interfaces over :mod:`bids_stroke.atlas`."""

from .. import atlas, image
from ..bids import write_tsv
from .base import BaseInterfaceInputSpec, SimpleInterface, TraitedSpec, existing, result, traits


class _TractLoadInput(BaseInterfaceInputSpec):
    lesion = existing(desc="lesion mask on the template's grid")
    tract = traits.Str(atlas.JUELICH, usedefault=True, desc="card of the tract")


class _TractLoadOutput(TraitedSpec):
    out_table = existing(desc="rows left, right, total")


class TractLoad(SimpleInterface):
    """Measure the load of a lesion on a tract."""

    input_spec = _TractLoadInput
    output_spec = _TractLoadOutput

    def _run_interface(self, runtime):
        card = atlas.load_card(self.inputs.tract)
        table = atlas.loads(image.load(self.inputs.lesion), atlas.load_tract(card), card)
        path = write_tsv(table.reset_index(), result(runtime, "loads.tsv"))
        self._results["out_table"] = str(path)
        return runtime
