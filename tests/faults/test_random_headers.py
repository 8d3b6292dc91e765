"""One lesion with random headers: volume, side and load are correct, or the file is refused."""

import itertools
from typing import NamedTuple

import nibabel as nib
import numpy as np
import pytest
from nibabel.affines import apply_affine, from_matvec
from scipy import ndimage

from bids_stroke.atlases import loads, location, tract_cards, tracts
from bids_stroke.bids.supplied_masks import find_lesion_masks
from bids_stroke.errors import ImageError
from bids_stroke.lesion import measurements
from bids_stroke.spatial import image, masks, template_transforms, templates

pytestmark = pytest.mark.slow

DRAWS = 500
CENTER, RADII = np.array((-24.0, -18.0, 24.0)), np.array((13.0, 11.0, 9.0))
#: Part of the template that contains the lesion and the tract.
BOX = tuple(map(slice, (30, 80, 46), (167, 164, 154)))
AXES = [
    "".join(letters[i] for i in order)
    for order in itertools.permutations(range(3))
    for letters in itertools.product("RL", "AP", "SI")
]
ZOOMS = [(1, 1, 1), (1.5, 1.5, 1.5), (2, 2, 2), (1, 1, 5), (0.8, 0.9, 3), (3, 3, 3)]
CODES = [(0, 0), (1, 0), (0, 1), (1, 1), (2, 4), (0, 4)]
TYPES = ["u1", "u2", "u4", "u8", "i2", "i4", "i8", "f4", "f8"]


class Values(NamedTuple):
    """Slope and intercept, stored values outside and inside, and whether the file is a valid mask."""

    slope: float
    intercept: float
    outside: int
    inside: int
    is_mask: bool


VALUES = [
    Values(1, 0, 0, 1, True),
    Values(1, 0, 0, 255, True),
    Values(1 / 255, 0, 0, 255, True),  # 1.00000006
    Values(0.01, 0, 0, 50, True),  # 0.4999999888
    Values(0.007, 0, 0, 100, True),
    Values(1, -1, 1, 2, True),
    Values(0.25, -0.25, 1, 5, True),
    Values(1000, 0, 0, 1, True),
    Values(1, -1, 0, 1, False),  # -1 and 0
    Values(1 / 255, 0, 0, 1, False),  # 0.004
    Values(0.01, 0, 0, 250, False),  # 2.5
]


class Draw(NamedTuple):
    """Properties of a file of the lesion."""

    axes: str
    zooms: tuple[float, float, float]
    shift: tuple[float, float, float]
    tilt: float
    codes: tuple[int, int]
    values: Values
    kind: str
    endianness: str
    version: int
    end: str

    @property
    def is_valid(self):
        return any(self.codes) and self.values.is_mask

    @property
    def affine(self):
        turn = nib.eulerangles.euler2mat(self.tilt, -self.tilt, self.tilt / 2)
        grid = from_matvec(turn @ np.diag(self.zooms))
        center = apply_affine(grid, (self.shape - 1) / 2)
        grid[:3, 3] = CENTER + self.shift - center
        return grid

    @property
    def shape(self):
        return np.ceil(64 / np.array(self.zooms)).astype(int).clip(8)

    def write(self, path):
        """Write the file and return the world coordinates of the lesion voxels."""
        affine = self.affine
        points = apply_affine(affine, np.moveaxis(np.indices(self.shape), 0, -1))
        inside = np.linalg.norm((points - CENTER) / RADII, axis=-1) <= 1
        stored = np.where(inside, self.values.inside, self.values.outside)
        turn = nib.orientations.ornt_transform(
            nib.io_orientation(affine), nib.orientations.axcodes2ornt(self.axes)
        )
        img = nib.Nifti1Image(stored.astype("u1"), affine).as_reoriented(turn)
        kind = nib.Nifti1Image if self.version == 1 else nib.Nifti2Image
        dtype = np.dtype(self.endianness + self.kind)
        header = kind.header_class(endianness=self.endianness)
        header.set_data_dtype(dtype)
        out = kind(np.asarray(img.dataobj), None, header)
        out.set_qform(img.affine, self.codes[0])
        out.set_sform(img.affine, self.codes[1])
        self._save(out, np.asarray(img.dataobj).astype(dtype), path)
        return points[inside]

    def _save(self, img, stored, path):
        """Save the stored values, with slope and intercept in the header."""
        header = img.header.copy()
        header.set_data_shape(stored.shape)
        header.set_data_offset(header.single_vox_offset)
        header["scl_slope"], header["scl_inter"] = self.values.slope, self.values.intercept
        with nib.openers.Opener(path, "wb") as stream:
            raw = header.binaryblock.ljust(header.single_vox_offset, b"\0")
            stream.write(raw + stored.tobytes(order="F"))


def draw(rng):
    def one_of(values):
        return values[rng.integers(len(values))]

    return Draw(
        axes=one_of(AXES),
        zooms=one_of(ZOOMS),
        shift=one_of([(0.0, 0.0, 0.0), (0.5, 0.5, 0.5), tuple(rng.uniform(-1, 1, 3))]),
        tilt=one_of([0.0, 0.0, 0.2]),
        codes=one_of(CODES),
        values=one_of(VALUES),
        kind=one_of(TYPES),
        endianness=one_of("<>"),
        version=one_of([1, 2]),
        end=one_of([".nii", ".nii.gz"]),
    )


@pytest.fixture(scope="module")
def tract():
    """Probability maps of the tract, cropped to the box."""
    sides = tracts.load_tract()
    parts = {side: img.slicer[BOX] for side, img in sides.items()}
    for side, img in sides.items():
        assert np.count_nonzero(parts[side].dataobj) == np.count_nonzero(img.dataobj)
    return parts


def expected_load(points, affine, tract):
    """Compute the raw load by sampling the tract at 6×6×6 points in each voxel."""
    steps = (np.arange(6) - 2.5) / 6
    offsets = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
    offsets = offsets @ affine[:3, :3].T
    voxels = np.linalg.inv(tract.affine)
    data = tract.get_fdata(dtype=np.float32)
    total = sum(
        ndimage.map_coordinates(data, apply_affine(voxels, points + offset).T, order=0).sum()
        for offset in offsets
    )
    return float(total) / len(offsets) * abs(np.linalg.det(affine[:3, :3])) / 1000


def measured(folder, tract):
    """Measure volume (ml), side and raw load of the mask in a folder with the functions of the app."""
    (candidates,) = find_lesion_masks(folder).values()
    drawn = masks.binarize(image.load_supplied(candidates[0].path))
    moved = template_transforms.mask_to_template(drawn, candidates[0].space)
    part = moved.slicer[BOX]
    assert np.count_nonzero(part.dataobj) == np.count_nonzero(moved.dataobj)
    points = apply_affine(part.affine, np.argwhere(np.asarray(part.dataobj)))
    row = measurements.measure(part, locations=location.locate(points)).loc["all"]
    load = loads.measure_loads(part, tract, tract_cards.load_card())["raw_load_ml"]
    return row["volume_ml"], row["hemisphere"], load


def test_random_headers(tmp_path, tract, table):
    rng = np.random.default_rng(20)
    refused = 0
    for number in range(DRAWS):
        header = draw(rng)
        folder = tmp_path / str(number)
        folder.mkdir()
        points = header.write(folder / f"sub-01_space-{templates.TEMPLATE}_label-L_mask{header.end}")
        if not header.is_valid:
            with pytest.raises(ImageError) as caught:
                measured(folder, tract)
            message = str(caught.value)
            assert str(folder) in message and "\n" not in message and message.endswith("."), header
            refused += 1
            continue
        volume, side, load = measured(folder, tract)
        voxel_ml = abs(np.linalg.det(header.affine[:3, :3])) / 1000
        assert volume == pytest.approx(len(points) * voxel_ml, rel=0.01), header
        assert side == "left", header
        assert load["left"] == pytest.approx(
            expected_load(points, header.affine, tract["L"]), rel=0.02
        ), header
        assert load["right"] == 0, header
    assert 0.2 < refused / DRAWS < 0.6
    seen = f"{DRAWS - refused} files give volume, side and load as drawn, {refused} are refused"
    table.add("Masks of labs", f"{DRAWS} random headers", "", seen, "as of any mask")
