"""Figures in SVG.

Slice figures (based on ``mosaic``, ``slices``, ``svg``): ``axial``, ``brain_mask``, ``flicker``,
``lesion``, ``overview``, ``tract``, ``overlap``. ``rendering`` renders the brain in 3D. Matplotlib
plots (based on ``plots``): ``cohort``, ``evaluation``. The captions of participant figures are in
``data/report_spec.yml``.
"""
