"""Figures in SVG.

Images over slices (:mod:`.mosaic`, :mod:`.slices`, :mod:`.svg`): :mod:`.brain_mask`, :mod:`.flicker`,
:mod:`.lesion`, :mod:`.tract`, :mod:`.overlap`. Matplotlib plots (:mod:`.plots`): :mod:`.cohort`,
:mod:`.evaluation`. The captions of the participant's figures are in ``data/report_spec.yml``.
"""
