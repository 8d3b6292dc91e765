"""Training on patients in stages (zoom-in and zoom-out of Tomita et al. 2020), with snapshots."""

import json
import logging
from functools import cache
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from monai.losses import DiceCELoss
from safetensors.torch import load_file
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts
from torch.utils.data import DataLoader

from bids_stroke.compute import devices
from bids_stroke.models import imagenet
from bids_stroke.models.weights import build
from bids_stroke.training.patients import groups, preparation
from bids_stroke.utils.files import atomic

from . import loop, slices, tiles
from .progress import Progress

_PARTS = ("training", "intermediate", "validation")


class Learner(pl.LightningModule):
    """BCE and soft Dice inside the brain; Adam; cosine annealing with warm restarts.

    Parameters
    ----------
    network : torch.nn.Module
    stage : dict
        ``learning_rate``, ``cycle`` (epochs between restarts), and ``frozen`` (names of modules that
        stay as they are, their normalization included).
    loss : dict
        Shares of ``bce`` and ``dice``; ``lesion_weight`` of lesion voxels in the former.
    """

    def __init__(self, network, stage, loss):
        super().__init__()
        form = torch.channels_last if 1 in stage["tile"] else torch.channels_last_3d
        self.network = network.to(memory_format=form)
        self.stage = stage
        self.frozen = [network.get_submodule(name) for name in stage.get("frozen", ())]
        network.train().requires_grad_(True)
        for module in self.frozen:
            module.requires_grad_(False)
        weight = loss.get("lesion_weight")
        self.loss = DiceCELoss(
            sigmoid=True,
            batch=True,
            weight=None if weight is None else torch.tensor([float(weight)]),
            lambda_ce=loss["bce"],
            lambda_dice=loss["dice"],
        )

    def on_train_epoch_start(self):
        for module in self.frozen:
            module.eval()

    def configure_optimizers(self):
        learning = [weight for weight in self.network.parameters() if weight.requires_grad]
        optimizer = torch.optim.Adam(learning, lr=self.stage["learning_rate"])
        return [optimizer], [CosineAnnealingWarmRestarts(optimizer, self.stage["cycle"])]

    def _logits(self, image, mask):
        return self.network(image).float().masked_fill(mask == 0, loop.OUTSIDE)

    def training_step(self, batch, batch_idx):
        image, label, mask = batch
        loss = self.loss(self._logits(image, mask), label)
        self.log("loss", loss, on_epoch=True, on_step=False, sync_dist=True)
        return loss

    def validation_step(self, batch, batch_idx):
        image, label, mask = batch
        logits = self._logits(image, mask)
        # A batch is a scan, of whatever number of slices.
        shared = {"sync_dist": True, "batch_size": 1}
        self.log("val_loss", self.loss(logits, label), **shared)
        self.log("val_dice", loop.dice(logits > 0, label > 0), **shared)


class Snapshots(Callback):
    """Write the weights at the end of some epochs (counted from 1)."""

    def __init__(self, folder, epochs):
        self.folder, self.epochs = Path(folder), epochs

    def on_train_epoch_end(self, trainer, module):
        epoch = trainer.current_epoch + 1
        if epoch in self.epochs and trainer.is_global_zero:
            loop.export(module.network, self.folder / f"snapshot-{epoch}.safetensors")


def train(recipe, parts, out, processes=1, arrays=None):
    """Train the recipe's network on patients, stage after stage.

    A stage that is complete is not trained again; one that was interrupted continues from its last
    epoch. Each stage leaves ``STAGE/weights.safetensors``, ``snapshot-EPOCH.safetensors``, logs as CSV
    and for TensorBoard, and ``summary.json``.

    Parameters
    ----------
    recipe : dict
    parts : dict of str to list of Patient
        ``training``, ``intermediate`` and ``validation``.
    out : Path
    arrays : Path, optional
        For the scans on the network's grid, which several trainings may share; default in ``out``.

    Returns
    -------
    dict
        What the stages' summaries hold.
    """
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    data, settings = recipe["data"], recipe["training"]
    scans = {one.name: one for part in _PARTS for one in parts[part]}
    paths = on_grid(scans.values(), data, arrays or out / "arrays", processes)
    region_of = _region_of(paths, data)
    pl.seed_everything(recipe["seed"], workers=True, verbose=False)
    network = build(recipe["network"])
    if "encoder" in recipe:
        imagenet.load(network.net, recipe["encoder"])
    if "initial" in recipe:
        network.load_state_dict(recipe["initial"])
    held_out = recipe["split"] if recipe["split"].get("by") == "slice" else None
    validation = sorted(paths[one.name] for one in parts["validation"])
    summaries = {}
    for stage in recipe["stages"]:
        chosen = groups.choose(stage, parts, recipe.get("target"), region_of)
        if not chosen and isinstance(stage.get("group"), list):
            continue  # no lesion of the intermediate part lies in these regions
        files = {"training": sorted(paths[one.name] for one in chosen), "validation": validation}
        tiles.check(files["training"], stage["tile"], "training")
        folder = out / stage["name"]
        summaries[stage["name"]] = _run(stage, network, files, data, settings, folder, held_out)
        weights = load_file(out / stage["name"] / "weights.safetensors")
        network.load_state_dict(weights)
    return summaries


def on_grid(scans, data, folder, processes):
    """Bring patients to the grid of a recipe's ``data``, once.

    Returns
    -------
    dict of str to Path
        Archive of each (:func:`bids_stroke.training.patients.preparation.arrays`) by its name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    work = {"space": data["space"], "spacing": data["spacing"]}
    jobs = [(one, data["contrasts"], work, folder) for one in scans]
    paths = {}
    for (one, *_), made in preparation.each(preparation.arrays, jobs, processes):
        if isinstance(made, Exception):
            raise made
        paths[one.name] = made
    return paths


def _region_of(paths, data):
    """A function that tells the super-region of a patient."""

    @cache
    def regions():
        return groups.Regions(data["spacing"])

    @cache
    def region_of(patient):
        with np.load(paths[patient.name]) as kept:
            return regions().of(kept["label"])

    return region_of


def _datasets(stage, files, data, settings, held_out):
    """What a stage trains and validates on, and how items become batches."""
    if 1 not in stage["tile"]:
        inputs = data.get("inputs") or [data["contrasts"]]
        shared = (stage["tile"], data["contrasts"], inputs)
        training = tiles.Tiles(files["training"], *shared, flip=settings["flip"])
        return training, tiles.Tiles(files["validation"], *shared, random=False), None
    training = slices.Slices(
        files["training"], stage["tile"], settings["slices"], settings["augmentation"], held_out
    )
    part = "validation" if held_out else "training"
    validation = slices.Slices(files["validation"], stage["tile"], held_out=held_out, part=part)
    return training, validation, slices.together


def _run(stage, network, files, data, settings, out, held_out):
    done = out / "summary.json"
    if done.is_file():
        return json.loads(done.read_text())
    training, validation, together = _datasets(stage, files, data, settings, held_out)
    workers = {"num_workers": settings["workers"], "persistent_workers": settings["workers"] > 0}
    workers["collate_fn"] = together
    loaders = (
        DataLoader(training, settings["batch"], shuffle=True, **workers),
        DataLoader(validation, 1, **workers),
    )
    trainer = _trainer(stage, settings, out)
    last = out / "checkpoints" / "last.ckpt"
    module = Learner(network, stage, settings["loss"])
    trainer.fit(module, *loaders, ckpt_path=last if last.exists() else None, weights_only=True)
    summary = {
        "epochs": trainer.current_epoch,
        "scans": {part: len(paths) for part, paths in files.items()},
        **{key: round(float(value), 4) for key, value in trainer.callback_metrics.items()},
    }
    if trainer.is_global_zero:
        loop.export(module.network, out / "weights.safetensors")
        with atomic(done) as partial:
            partial.write_text(json.dumps(summary, indent=2))
    trainer.strategy.barrier()
    return summary


def _trainer(stage, settings, out):
    return pl.Trainer(
        accelerator="auto",
        devices="auto",
        num_nodes=loop.nodes(),
        precision=devices.precision(),
        max_epochs=stage["epochs"],
        gradient_clip_val=settings["clip"],
        num_sanity_val_steps=0,
        enable_model_summary=False,
        enable_progress_bar=False,
        log_every_n_steps=1,
        logger=[
            CSVLogger(out, name="log"),
            TensorBoardLogger(out, name="tensorboard", version=""),
        ],
        callbacks=[
            # The snapshot comes first: after a kill between the two, its epoch is run again.
            Snapshots(out, stage.get("snapshots", ())),
            # Without anything to monitor, the one that is kept is the latest.
            ModelCheckpoint(
                out / "checkpoints",
                "last",
                save_on_train_epoch_end=True,
                enable_version_counter=False,
            ),
            Progress(f"{out.parent.name}, {stage['name']}"),
        ],
    )
