"""Invalid scans and masks: a function that writes each, and part of the expected message."""

import gzip
import os
from typing import NamedTuple

import bidsets
import nibabel as nib
import numpy as np

from bids_stroke.spatial.templates import TEMPLATE

SCAN = "anat/sub-{label}_T1w.nii.gz"


class Case(NamedTuple):
    """``make(folder, label)`` writes the files of a participant."""

    name: str
    make: object
    words: str


def path_of(folder, label, name=SCAN):
    path = folder / name.format(label=label)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def voxels():
    """Return the voxels and affine of a head with 4 mm resolution."""
    img, _ = bidsets.scan(1)
    return img.get_fdata(dtype=np.float32), img.affine


def written(change=lambda data: data, affine=None, kind=nib.Nifti1Image):
    """Create a function that writes a scan with changed voxels or affine."""

    def make(folder, label):
        data, grid = voxels()
        nib.save(kind(change(data), grid if affine is None else affine), path_of(folder, label))

    return make


def content(data):
    """Create a function that writes any content."""

    def make(folder, label):
        path_of(folder, label).write_bytes(data)

    return make


def cut(share, end=".nii.gz"):
    """Create a function that writes a truncated file."""

    def make(folder, label):
        data, affine = voxels()
        path = path_of(folder, label, SCAN.replace(".nii.gz", end))
        nib.save(nib.Nifti1Image(data, affine), path)
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])

    return make


def flipped(folder, label):
    """Write a file with one flipped bit in the compressed voxels."""
    data, affine = voxels()
    path = path_of(folder, label)
    raw = nib.Nifti1Image(data, affine).to_bytes()
    packed = bytearray(
        gzip.compress(raw, 0)
    )  # uncompressed blocks: only the checksum detects the change
    packed[len(packed) // 2] ^= 4
    path.write_bytes(packed)


def not_compressed(folder, label):
    data, affine = voxels()
    path_of(folder, label).write_bytes(nib.Nifti1Image(data, affine).to_bytes())


def header(**values):
    """Create a function that writes a scan with changed header fields."""

    def make(folder, label):
        data, affine = voxels()
        img = nib.Nifti1Image(data, affine)
        raw = bytearray(img.to_bytes())
        changed = nib.Nifti1Header(bytes(raw[:348]), check=False)
        for key, value in values.items():
            changed[key] = value
        raw[:348] = changed.binaryblock
        path_of(folder, label).write_bytes(gzip.compress(bytes(raw)))

    return make


def rows(x, y, z):
    """Return the header fields of an sform."""
    return {f"srow_{axis}": row for axis, row in zip("xyz", np.diag([x, y, z, 1])[:3], strict=True)}


def link(target):
    def make(folder, label):
        path_of(folder, label).symlink_to(target)

    return make


def folder_in_its_place(folder, label):
    path_of(folder, label).mkdir()


def pipe(folder, label):
    os.mkfifo(path_of(folder, label))


def broken_flair(folder, label):
    written()(folder, label)
    path_of(folder, label, "anat/sub-{label}_FLAIR.nii.gz").write_bytes(b"")


def with_skull(folder, label):
    data, affine = voxels()
    data = np.where(data > 0, data, 40)
    data[[0, -1]] = 0
    nib.save(nib.Nifti1Image(data, affine), path_of(folder, label))


def speck(data):
    """Return an image of a brain of 60 ml."""
    out = np.zeros_like(data)
    center = tuple(slice(side // 2 - 5, side // 2 + 5) for side in data.shape)
    out[center] = data[center]
    return out


ANNEX = "../../.git/annex/objects/Zx/1G/SHA256E-s12345--ab.nii.gz/SHA256E-s12345--ab.nii.gz"
RGB = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])

#: Scans that are refused; each participant also has a lesion mask.
SCANS = [
    *(Case(f".nii.gz cut at {n}%", cut(n / 100), "cannot be read as an image") for n in (10, 50, 99)),
    *(Case(f".nii cut at {n}%", cut(n / 100, ".nii"), "cannot be read") for n in (10, 50, 99)),
    Case(".nii.gz that is not compressed", not_compressed, "cannot be read as an image"),
    Case("text", content(b"not an image at all"), "cannot be read as an image"),
    Case("zero bytes", content(b""), "cannot be read as an image"),
    Case("one bit flipped", flipped, "is damaged"),
    Case("folder in the place of a file", folder_in_its_place, "it is not a regular file"),
    Case("pipe in the place of a file", pipe, "it is not a regular file"),
    Case("header without magic", header(magic=b"xxx"), "cannot be read as an image"),
    Case("header of unknown data type", header(datatype=9999), "cannot be read as an image"),
    Case("header of far more voxels", header(dim=[3, 30000, 30000, 30000, 1, 1, 1, 1]), "cannot be"),
    Case("header of more voxels", header(dim=[3, 3000, 1000, 1000, 1, 1, 1, 1]), "does not contain"),
    Case("header of negative size", header(dim=[3, -5, 58, 47, 1, 1, 1, 1]), "cannot be read"),
    Case("4D", written(lambda d: np.stack([d, d], -1)), "extract one volume"),
    Case("5D", written(lambda d: np.stack([d, d], -1)[..., None, :]), "extract one volume"),
    Case("2D", written(lambda d: d[:, :, 20]), "a 3D image is required"),
    Case("one slice", written(lambda d: d[:, :, 20:21]), "too few for a head"),
    Case("five slices", written(lambda d: d[:, :, 20:25]), "too few for a head"),
    Case("constant", written(lambda d: np.full_like(d, 7)), "has the value 7 in every voxel"),
    Case("all zero", written(np.zeros_like), "has the value 0 in every voxel"),
    Case("NaN", written(lambda d: np.where(d > 0, d, np.nan)), "NaN or infinite"),
    Case("infinity", written(lambda d: np.where(d > 0, d, np.inf)), "NaN or infinite"),
    Case("complex numbers", written(lambda d: d.astype(np.complex64)), "one real number"),
    Case("colors", written(lambda d: np.zeros(d.shape, RGB)), "one real number"),
    Case("affine of zeros", header(**rows(0, 0, 0)), "no usable affine"),
    Case("affine that cannot be inverted", header(**rows(4, 4, 0)), "no usable affine"),
    Case("affine of NaN", header(**rows(np.nan, 4, 4)), "no usable affine"),
    Case("millimeters taken for microns", written(affine=np.diag([4000.0, 4000, 4000, 1])), "a head"),
    Case("thin slab", written(lambda d: d[..., 20:28]), "not the size of a head"),
    Case("git-annex link without content", link(ANNEX), "get it with datalad get"),
    Case("git-annex pointer file", content(b"/annex/objects/MD5E-s1--a.nii.gz\n"), "datalad get"),
    Case("git-lfs pointer", content(b"version https://git-lfs.github.com/spec/v1\n"), "git lfs pull"),
    Case("link to nowhere", link("../../missing.nii.gz"), "is a link to"),
    Case("FLAIR of zero bytes beside a good T1w", broken_flair, "FLAIR.nii.gz cannot be read"),
    Case("no brain in the image", written(speck), "yields a brain volume of 0.06 liters"),
    Case("head with skull, said to be a brain", with_skull, "or supply a brain mask"),
]


def box(side, corner=(60, 100, 70)):
    """Return the voxels (uint8) and affine of a cube in template space."""
    mask = np.zeros((197, 233, 189), np.uint8)
    mask[tuple(slice(start, start + side) for start in corner)] = 1
    affine = np.eye(4)
    affine[:3, 3] = -98, -134, -72
    return mask, affine


def in_template(change):
    """Create a function that writes a lesion mask in template space."""

    def make(folder, label):
        mask, affine = box(10)
        name = f"anat/sub-{{label}}_space-{TEMPLATE}_label-L_mask.nii.gz"
        nib.save(nib.Nifti1Image(change(mask), affine), path_of(folder, label, name))

    return make


def of_another_image(folder, label):
    written()(folder, label)
    mask, affine = box(10)
    name = "anat/sub-{label}_space-T1w_label-L_mask.nii.gz"
    nib.save(nib.Nifti1Image(mask, affine), path_of(folder, label, name))


#: Lesion masks that are refused.
MASKS = [
    Case("4D lesion mask", in_template(lambda m: np.stack([m, m], -1)), "extract one volume"),
    Case("lesion mask of NaN", in_template(lambda m: np.where(m, np.nan, 0).astype("f4")), "NaN"),
    Case("lesion mask of another image", of_another_image, "is not on the grid of"),
]
#: Lesion masks that are measured, and the QC check that flags them.
LESIONS = [
    Case("good lesion mask", in_template(lambda mask: mask), ""),
    Case("empty lesion mask", in_template(np.zeros_like), "no_lesion"),
    Case("lesion of 614 ml", in_template(lambda _: box(85, (55, 70, 50))[0]), "lesion_share"),
    Case("lesion outside of the brain", in_template(lambda _: box(10, (2, 2, 2))[0]), "lesion_outside"),
]
