"""Figures in SVG.

Slice figures (based on ``mosaic``, ``slices``, ``svg``): ``brain_mask``, ``flicker``, ``lesion``,
``tract``, ``overlap``. Matplotlib plots (based on ``plots``): ``cohort``, ``evaluation``. The captions
of participant figures are in ``data/report_spec.yml``.
"""
