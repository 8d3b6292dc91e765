"""Masks as stored by labs: volume, side and load are correct, or an error is raised."""

import gzip

import bidsets
import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from faults.running import run
from nibabel.affines import apply_affine
from scipy import ndimage

from bids_stroke.atlases import loads, location, tract_cards, tracts
from bids_stroke.bids import record
from bids_stroke.cli.run import main
from bids_stroke.errors import ImageError
from bids_stroke.spatial import headers, image, masks, template_transforms, templates

pytestmark = pytest.mark.slow

CENTER, RADIUS = (-24.0, -18.0, 24.0), 12.0
MNI_1MM = ((197, 233, 189), 1.0, (-98.0, -134.0, -72.0))
MNI_2MM = ((91, 109, 91), 2.0, (-90.0, -126.0, -72.0))


def distances(grid=MNI_1MM):
    """Return distances (mm) from the lesion center on a grid of the template, and the affine."""
    shape, zoom, origin = grid
    affine = nib.affines.from_matvec(zoom * np.eye(3), origin)
    points = apply_affine(affine, np.moveaxis(np.indices(shape), 0, -1))
    return np.linalg.norm(points - CENTER, axis=-1), affine


def sphere(grid=MNI_1MM):
    """Return the voxels (bool) and affine of a lesion in template space."""
    distance, affine = distances(grid)
    return distance <= RADIUS, affine


def scaled(data, slope):
    """Return the bytes of a file with stored values ``data`` and a slope."""
    _, affine = sphere()
    img = nib.Nifti1Image(data, affine)
    raw = bytearray(img.to_bytes())
    raw[112:116] = np.float32(slope).tobytes()
    return bytes(raw)


def plain(data, affine=None, **options):
    return nib.Nifti1Image(data, sphere()[1] if affine is None else affine, **options).to_bytes()


def smooth(low=0.0, high=1.0):
    """Return a gradient over 4 mm with 0.5 at the surface of the sphere."""
    return np.clip(0.5 + (RADIUS - distances()[0]) / 4, low, high)


def coarse(shift=0.0):
    shape, zoom, origin = MNI_2MM
    inside, affine = sphere((shape, zoom, tuple(np.add(origin, shift))))
    return plain(inside.astype(np.uint8), affine)


def without_orientation():
    inside, _ = sphere()
    return nib.Nifti1Image(inside.astype(np.uint8), None).to_bytes()


def offset_of_0():
    raw = bytearray(plain(sphere()[0].astype(np.uint8)))
    raw[108:112] = np.float32(0).tobytes()
    return bytes(raw)


def sheared():
    """Return the sphere on a sheared grid."""
    affine = np.array([[1.5, 0, 0.3, -60], [0, 1.5, 0, -60], [0, 0, 1.5, -20], [0, 0, 0, 1]])
    points = apply_affine(affine, np.moveaxis(np.indices((60, 60, 60)), 0, -1))
    inside = np.linalg.norm(points - CENTER, axis=-1) <= RADIUS
    return plain(inside.astype(np.uint8), affine)


def broken_qform():
    """Return a file with a valid sform and an invalid quaternion."""
    raw = bytearray(plain(sphere()[0].astype(np.uint8)))
    raw[252:256] = np.array([1, 1], np.int16).tobytes()
    raw[256:264] = np.float32([0.8, 0.7]).tobytes()
    return bytes(raw)


#: Files that are measured.
TAKEN = {
    "a smooth mask in uint8 with the slope 1/255": lambda: scaled(
        np.rint(255 * smooth()).astype(np.uint8), 1 / 255
    ),
    "a mask of 0 and 255 with the slope 1/255": lambda: scaled(
        (255 * sphere()[0]).astype(np.uint8), 1 / 255
    ),
    "a smooth mask of up to 1.0000001": lambda: plain(smooth(high=1.0000001)),
    "a smooth mask with the overshoot of splines": lambda: plain(smooth(-0.13, 1.31)),
    "a mask of 0 and 255": lambda: plain((255 * sphere()[0]).astype(np.uint8)),
    "a mask in int64": lambda: plain(sphere()[0].astype(np.int64), dtype=np.int64),
    "a mask on the grid of 2 mm": coarse,
    "a mask on a grid of 2 mm that halves voxels": lambda: coarse(0.5),
    "a mask on a sheared grid": sheared,
    "a qform that is no rotation beside the sform": broken_qform,
}
#: Files that are refused, and what the user sees.
REFUSED = {
    "a mask in percent": (lambda: plain(np.rint(100 * smooth()).astype(np.uint8)), "has the labels"),
    "a mask in fractions of percent": (lambda: plain(100 * smooth()), "range from 0 to 1"),
    "a mask of gray values": (lambda: plain(np.rint(255 * smooth()).astype(np.uint8)), "up to 255"),
    "a mask that lost its slope": (
        lambda: scaled(sphere()[0].astype(np.uint16), 1 / 65535),
        "no voxel reaches 0.5",
    ),
    "a mask of 1 and 2": (lambda: plain(1 + sphere()[0].astype(np.uint8)), "no voxel is outside"),
    "a probability above 0.5 everywhere": (lambda: plain(smooth(low=0.6)), "no voxel is outside"),
    "a mask in a template without orientation": (without_orientation, "has no orientation"),
    "a mask whose voxels begin at byte 0": (offset_of_0, "its vox_offset is 0"),
    "a mask in microns": (
        lambda: plain(sphere()[0].astype(np.uint8), np.diag([1e3, 1e3, 1e3, 1])),
        "size of a head",
    ),
    "a mask beside the template": (
        lambda: plain(sphere()[0].astype(np.uint8), sphere()[1] + np.eye(4, k=3) * 300),
        "outside",
    ),
}
#: Files that are measured by the app; the others are measured by its functions.
IN_THE_APP = (
    "a smooth mask in uint8 with the slope 1/255",
    "a mask in int64",
    "a mask on a sheared grid",
)
LABELS = {name: f"{number:02d}" for number, name in enumerate([*IN_THE_APP, *REFUSED])}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    root = bidsets.empty_dataset(tmp_path_factory.mktemp("labs") / "bids")
    makers = {name: TAKEN[name] for name in IN_THE_APP}
    makers |= {name: make for name, (make, _) in REFUSED.items()}
    for name, make in makers.items():
        label = f"sub-{LABELS[name]}"
        path = root / label / "anat" / f"{label}_space-{templates.TEMPLATE}_label-L_mask.nii"
        path.parent.mkdir(parents=True)
        path.write_bytes(make())
    out = root.parent / "out"
    return run(root, out, "participant", "--lesion-derivatives", root), out


def expected_load():
    """Compute the raw load of the ideal sphere by summing the tract over fine points."""
    fine = np.arange(-RADIUS + 0.125, RADIUS, 0.25)
    points = np.stack(np.meshgrid(fine, fine, fine, indexing="ij"), -1).reshape(-1, 3)
    points = points[np.linalg.norm(points, axis=1) <= RADIUS] + CENTER
    tract = tracts.load_tract()["L"]
    voxels = apply_affine(np.linalg.inv(tract.affine), points).T
    values = ndimage.map_coordinates(tract.get_fdata(), voxels, order=0)
    return values.sum() * 0.25**3 / 1000


def check(name, volume_ml, left_ml, right_ml):
    """Compare with the sphere itself: 7.238 ml; on a grid of 2 mm it has up to 2.2% more, by where the
    centers lie."""
    volume = 4 / 3 * np.pi * RADIUS**3 / 1000
    assert volume_ml == pytest.approx(volume, rel=0.03)
    assert left_ml == pytest.approx(expected_load(), rel=0.03)
    assert right_ml == 0
    return name, 0, f"{volume_ml:.2f} ml for {volume:.2f} ml", "everything"


@pytest.mark.parametrize("name", IN_THE_APP)
def test_volume_side_and_load_are_as_drawn(cohort, table, name):
    _, out = cohort
    entry = record.read(out, f"sub-{LABELS[name]}")
    assert entry is not None and entry.status == "ok", entry and entry.error
    components = pd.read_csv(entry.path(out, "components", templates.TEMPLATE), sep="\t").iloc[0]
    load = pd.read_csv(entry.path(out, "loads", "JuelichCST"), sep="\t").set_index("side")
    assert components["hemisphere"] == "left"
    raw = load["raw_load_ml"]
    row = check(name, components["volume_template_ml"], raw["left"], raw["right"])
    table.add("Masks of labs", *row)


@pytest.mark.parametrize("name", [name for name in TAKEN if name not in IN_THE_APP])
def test_the_functions_measure_as_drawn(tmp_path, table, name):
    path = tmp_path / f"sub-01_space-{templates.TEMPLATE}_label-L_mask.nii"
    path.write_bytes(TAKEN[name]())
    mask = masks.binarize(image.load_supplied(path))
    moved = template_transforms.mask_to_template(mask, templates.TEMPLATE)
    volume, _ = location.measure_normalized(moved)
    measured = loads.measure_loads(moved, tracts.load_tract(), tract_cards.load_card())
    raw = measured["raw_load_ml"]
    table.add("Masks of labs", *check(name, volume, raw["left"], raw["right"]))


@pytest.mark.parametrize("name", REFUSED)
def test_invalid_masks_are_refused(cohort, table, name):
    done, out = cohort
    (line,) = (row for row in done.stderr.splitlines() if f"sub-{LABELS[name]}: failed" in row)
    assert REFUSED[name][1] in line
    entry = record.read(out, f"sub-{LABELS[name]}")
    assert entry.status == "failed" and REFUSED[name][1] in entry.error
    table.add("Masks of labs", name, done.returncode, line.split(": ", 2)[2], "its failure")


def test_a_mask_that_was_damaged_in_copying_is_refused(tmp_path, table):
    """One flipped bit, 200 times: zlib detects few changes, the checksum detects all."""
    content = gzip.compress(coarse())
    expected = masks.binarize(image.load_supplied(write(tmp_path / "x.nii.gz", content)))
    rng, same = np.random.default_rng(0), 0
    for place in rng.integers(10, len(content), 200):
        damaged = bytearray(content)
        damaged[place] ^= 1 << int(rng.integers(8))
        path = write(tmp_path / "x.nii.gz", damaged)
        try:
            mask = masks.binarize(image.load_supplied(path))
        except ImageError as error:
            message = str(error)
            continue
        same += 1
        assert np.array_equal(mask.dataobj, expected.dataobj)
    assert same < 10, "bits that carry nothing"
    table.add("Masks of labs", "a mask with a bit flipped, 200 times", 1, message, "its failure")


def write(path, content):
    path.write_bytes(content)
    return path


def test_a_qform_that_is_no_rotation_is_named(tmp_path):
    path = write(tmp_path / "x.nii", broken_qform())
    assert headers.orientation_warning(path).endswith(
        "a qform that is not a rotation: the sform was used."
    )


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """A scan, a lesion mask and a brain mask (int64) of one participant, all without orientation.

    The lesion is at low indices of the first axis.
    """
    root = bidsets.empty_dataset(tmp_path_factory.mktemp("scans") / "bids")
    img, lesion = bidsets.scan(1)
    stem = "sub-01/anat/sub-01"
    brain = np.asarray(img.dataobj) > 0
    for data, name in (
        (np.asarray(img.dataobj), f"{stem}_T1w"),
        (np.asarray(lesion.dataobj), f"derivatives/lesions/{stem}_space-T1w_label-L_mask"),
        (brain.astype(np.int64), f"derivatives/brains/{stem}_space-T1w_desc-brain_mask"),
    ):
        stored = nib.Nifti1Image(data, None, dtype=data.dtype)
        stored.header.set_zooms((4, 4, 4))
        path = root / f"{name}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(stored, path)
    masks = root / "derivatives"
    options = ["--lesion-derivatives", masks / "lesions", "--derivatives", masks / "brains"]
    return [root, root.parent / "out", "participant", *options]


def test_scans_without_orientation_are_refused(scans, table, capsys):
    assert main([*map(str, scans)]) == 1
    shown = capsys.readouterr().err
    (line,) = (row for row in shown.splitlines() if "sub-01: failed" in row)
    assert "has no orientation" in line and "--assume-orientation" in line
    table.add("Masks of labs", "a scan without orientation", 1, line.split(": ", 2)[2], "its failure")


def test_the_side_is_that_of_the_assumed_orientation(scans, table):
    orientation, side = "RAS", "left"
    done = run(*scans, "--assume-orientation", orientation)
    assert done.returncode == 0, done.stderr
    entry = record.read(scans[1], "sub-01")
    assert f"{orientation} was assumed" in entry.flags["orientation"]
    assert entry.flags["orientation"].count("RAS was assumed") == 3
    components = pd.read_csv(entry.path(scans[1], "components"), sep="\t").iloc[0]
    assert components["hemisphere"] == side
    assert components["x_template_mm"] == pytest.approx(bidsets.CENTER[0], abs=6)
    written = image.load(entry.path(scans[1], "lesion_mask"))
    assert "".join(nib.aff2axcodes(written.affine)) == orientation
    for other, direction in (("RAS", -1), ("LAS", 1)):  # the lesion is at low indices
        (path,) = scans[0].rglob("*_label-L_mask.nii.gz")
        drawn = image.conform(image.load_supplied(path, other))
        points = apply_affine(drawn.affine, np.argwhere(drawn.get_fdata() > 0))
        assert np.sign(points[:, 0].mean()) == direction
    name = f"a scan without orientation, --assume-orientation {orientation}"
    table.add("Masks of labs", name, 0, entry.flags["orientation"].split(". ")[0], "everything")
