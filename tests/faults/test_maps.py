"""Maps and atlases as used by labs: regions are named as in their tables, or an error is raised."""

import gzip
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from nibabel.affines import from_matvec

from bids_stroke.atlases import supplied, tract_cards, tracts
from bids_stroke.errors import ImageError, UsageError
from bids_stroke.spatial import image, templates

AFFINE = from_matvec(4 * np.eye(3), [-98, -134, -72])
HALVES = np.ones((49, 58, 47), np.uint8)
HALVES[24:] = 2
PROBABILITIES = np.stack([HALVES == 1, HALVES == 2], -1).astype(np.float32)


def atlas(folder, data, labels):
    """Write an atlas of the two halves of the head, and its table."""
    path = folder / f"atlas-x_space-{templates.TEMPLATE}_dseg.nii.gz"
    nib.save(nib.Nifti1Image(data, AFFINE), path)
    (folder / "labels.tsv").write_text(labels)
    return path, folder / "labels.tsv"


def damage(path):
    """Flip one bit after the header, which only the checksum detects."""
    content = bytearray(gzip.compress(gzip.decompress(path.read_bytes()), 0))
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("case", "labels", "words"),
    [
        ("a duplicated index", "index\tname\n1\ta\n1\tb\n2\tc\n", "index 1 is duplicated"),
        ("a fractional index", "index\tname\n1.7\ta\n2\tb\n", "1.7 is not an integer"),
    ],
)
def test_tables_that_are_refused(tmp_path, table, case, labels, words):
    with pytest.raises(UsageError, match=words) as error:
        supplied.load_atlas(*atlas(tmp_path, HALVES, labels))
    table.add("Atlases", case, 2, str(error.value), "nothing")


@pytest.mark.parametrize(
    ("case", "labels", "names"),
    [
        ("a region named NA", "index\tname\n1\tNA\n2\tNone\n", ["NA", "None"]),
        ("a lone quote in the table", 'index\tname\n1\t"a\n2\tb"\n', ['"a', 'b"']),
        ("quotes around all cells", '"index"\t"name"\n"1"\t"a"\n"2"\t"b"\n', ["a", "b"]),
        ("a tab too many in each row", "index\tname\n1\ta\t\n2\tb\t\n", ["a", "b"]),
    ],
)
def test_supported_tables(tmp_path, table, case, labels, names):
    regions = supplied.load_atlas(*atlas(tmp_path, HALVES, labels))
    assert regions.names == dict(zip((1, 2), names, strict=True))
    table.add("Atlases", case, 0, f"the regions {', '.join(names)}", "as of any atlas")


@pytest.mark.parametrize("data", [HALVES, PROBABILITIES], ids=["labels", "probabilities"])
def test_an_atlas_that_was_damaged_is_refused(tmp_path, table, data):
    files = atlas(tmp_path, data, "index\tname\n1\ta\n2\tb\n")
    damage(files[0])
    lesion = image.like(np.zeros(templates.template_grid().shape, np.uint8), templates.template_grid())
    with pytest.raises(ImageError, match="is damaged") as error:
        supplied.measure(lesion, supplied.load_atlas(*files))
    kind = "labels" if data is HALVES else "probabilities"
    table.add("Atlases", f"an atlas of {kind} with a bit flipped", 1, str(error.value), "its failure")


@pytest.mark.parametrize("volumes", [None, {"L": 0, "R": 1}], ids=["one map", "volumes"])
def test_a_tract_that_was_damaged_is_refused(tmp_path, table, volumes):
    path = tmp_path / f"x_space-{templates.TEMPLATE}_probseg.nii.gz"
    data = PROBABILITIES if volumes else PROBABILITIES[..., 0]
    nib.save(nib.Nifti1Image(data, AFFINE), path)
    damage(path)
    card = replace(tract_cards.load_card(path), volumes=volumes)
    with pytest.raises(ImageError, match="is damaged") as error:
        tracts.probability_maps(card)
    case = f"a tract in {'two volumes' if volumes else 'one map'} with a bit flipped"
    table.add("Atlases", case, 2, str(error.value), "its failure")
