"""Continue the training of the embedded model on a machine with a GPU and without network.

    python studies/embedded_gpu.py pack FOLDER MODEL [--brains N] [--cache DIR]
    tar -xJf FOLDER.tar.xz
    PYTHONPATH=FOLDER/site:. python studies/embedded_gpu.py run FOLDER OUT [--minutes 9]

``pack`` writes FOLDER.tar.xz, with what the machine lacks besides PyTorch, Lightning and the usual
scientific packages: packages of pure Python, the model, the lesion masks, and the prepared heads, with
N of the skull-stripped brains (default: all). ``--cache`` is the folder of heads that were prepared for
an earlier training. ``run`` trains at a constant learning rate for two thirds of the time, and decays
it to zero in the rest. OUT then contains the weights and the logs.
"""

import argparse
import gzip
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import yaml
from common import DATA, pack_packages, run, share
from nibabel.affines import from_matvec

from bids_stroke.models import catalog
from bids_stroke.training.engine import sources
from bids_stroke.training.recipes import read_recipe
from bids_stroke.training.simulation import subjects

PACKAGES = ("monai", "nibabel")
BRAINS = "brains_t1w"  # folder of the skull-stripped brains
#: Changes of the recipe for a GPU, which has time for larger batches.
RECIPE = {"extends": "embedded", "name": "embedded_gpu", "training": {"batch": 8}}
CONSTANT = 2 / 3  # share of the time at a constant learning rate
MARGIN = 30  # voxels around a lesion
RESULTS = ("weights.safetensors", "summary.json")


def pack(folder, model, brains, cache):
    """Write the packages, the model, the heads and the lesions."""
    pack_packages(PACKAGES, folder / "site")
    card = catalog.load(model)
    for name in ("cache", "model"):
        (folder / name).mkdir()
    shutil.copy(card.path, folder / "model/initial.yaml")
    shutil.copy(card.weights_path(card.weights), folder / "model")
    (folder / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    for part, files in sources.find_files(read_recipe("embedded"), DATA).items():
        stripped = [path for path in files["heads"] if path.parent.name == BRAINS]
        left_out = stripped[brains:] if part == "training" else []
        for path in (*files["heads"], *files["lesions"]):
            if path in left_out:
                continue
            packed = folder / "data" / path.relative_to(DATA)
            packed.parent.mkdir(parents=True, exist_ok=True)
            packed.touch()
            if part == "test":  # only the names are read
                continue
            if path in files["heads"]:
                arrays = vars(subjects.load_subject(path, cache)).copy()
                name = arrays.pop("name")
                arrays = {key: values for key, values in arrays.items() if values is not None}
                # The archive of the folder is smaller if its files are not compressed.
                np.savez(folder / "cache" / f"{name}.npz", **arrays)
            elif lesion := subjects.load_lesion(path):
                # Images that are smaller than a head are refused.
                data = np.pad(lesion.data.astype(np.uint8), MARGIN)
                img = nib.Nifti1Image(data, lesion.affine @ from_matvec(np.eye(3), [-MARGIN] * 3))
                packed.write_bytes(gzip.compress(img.to_bytes(), 0))


def train(folder, out, minutes):
    """Train at a constant learning rate, then decay it."""
    constant, decayed = out / "constant", out / "decayed"
    for path in (constant, decayed):
        share(path, folder, "cache")
    shared = ["bids_stroke.cli.train", folder / "recipe.yaml"]
    data = ["--data", folder / "data"]
    first = ["--initial", folder / "model/initial.yaml", "--minutes", minutes * CONSTANT]
    run(*shared, constant, *data, *first)
    last = ["--decay", constant / "checkpoints/last.ckpt", "--minutes", minutes * (1 - CONSTANT)]
    run(*shared, decayed, *data, *last)
    for name in RESULTS:
        shutil.copy(decayed / name, out / name)
    for path in (constant, decayed):
        (log,) = path.glob("log/version_0/metrics.csv")
        shutil.copy(log, out / f"{path.name}.csv")


def main():
    """Command line."""
    command = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    actions = command.add_subparsers(dest="action", required=True)
    packing, running = (actions.add_parser(name) for name in ("pack", "run"))
    packing.add_argument("folder", type=Path)
    packing.add_argument("model")
    packing.add_argument("--brains", type=int, metavar="N")
    packing.add_argument("--cache", type=Path)
    running.add_argument("folder", type=Path)
    running.add_argument("out", type=Path)
    running.add_argument("--minutes", type=float, default=9)
    arguments = command.parse_args()
    folder = arguments.folder
    if arguments.action == "run":
        train(folder, arguments.out, arguments.minutes)
    else:
        cache = arguments.cache or folder.with_name(f"{folder.name}-cache")
        pack(folder, arguments.model, arguments.brains, cache)
        archive = Path(shutil.make_archive(folder, "xztar", folder.parent, folder.name))
        print(f"{archive}: {archive.stat().st_size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
