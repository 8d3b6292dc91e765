"""Explain the volume of lesions in the template.

    python studies/volume_scaling.py DERIVATIVES...

The ratio of the volumes of a lesion in the template and in its native space is the product of three
factors: the scaling of the brain; the scaling of the mirrored region, which is intact, relative to the
brain; and that of the lesion relative to the mirrored region. The last factor is 1 if the lesion has
the size of the tissue that it replaces, and larger if it has shrunk. The script prints the factors, and
the volume of the template brain relative to that of the normalized brain mask. The lesions have to be
in one hemisphere. Outputs of ``studies/real_heads.py`` can be used.
"""

import argparse
from pathlib import Path

import pandas as pd

from bids_stroke.bids import record
from bids_stroke.spatial import grid, image, transforms
from bids_stroke.spatial.templates import TEMPLATE, template


def volume_ml(mask):
    """Return the volume of a mask or of fractions (ml)."""
    return float(mask.get_fdata().sum()) * grid.voxel_volume(mask) / 1000


def scaling(folder, session):
    """Return the factors of the scaling of a lesion as a row of the table."""
    brain, lesion = (
        [image.load(session.require(folder, kind, place)) for place in (None, TEMPLATE)]
        for kind in ("brain_mask", "lesion_mask")
    )
    mirrored = image.like(lesion[1].get_fdata()[::-1], lesion[1])
    transform = session.require(folder, "transform_from_template", TEMPLATE)
    # Fractions keep the volume of a small region, which a threshold does not.
    moved = transforms.apply(mirrored, brain[0], [transform], "probability")
    ratio, head = (volume_ml(masks[1]) / volume_ml(masks[0]) for masks in (lesion, brain))
    counterpart = volume_ml(mirrored) / volume_ml(moved)
    return {
        "derivatives": folder,
        "session": session.name,
        "lesion (ml)": f"{volume_ml(lesion[0]):.1f}",
        "in the template (ml)": f"{volume_ml(lesion[1]):.1f}",
        "ratio": ratio,
        "brain": head,
        "mirrored region / brain": counterpart / head,
        "lesion / mirrored region": ratio / counterpart,
        "template brain / normalized brain": volume_ml(template().brain) / volume_ml(brain[1]),
    }


def main():
    """Command line."""
    command = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    command.add_argument("derivatives", nargs="+", type=Path)
    rows = []
    for folder in command.parse_args().derivatives:
        sessions = record.read_selected(folder)
        rows += [scaling(folder, session) for session in sessions if session.complete(folder)]
    print(pd.DataFrame(rows).round(3).to_markdown(index=False))


if __name__ == "__main__":
    main()
