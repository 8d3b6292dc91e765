"""Figures in SVG.

Images over slices (``mosaic``, ``slices``, ``svg``): ``brain_mask``, ``flicker``, ``lesion``,
``tract``, ``overlap``. Matplotlib plots (``plots``): ``cohort``, ``evaluation``. The captions of the
participant's figures are in ``data/report_spec.yml``.
"""
