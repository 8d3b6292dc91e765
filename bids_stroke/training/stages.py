"""Training on patients in stages (zoom-in and zoom-out of Tomita et al. 2020), with snapshots."""

import json
import logging
from pathlib import Path

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from monai.losses import DiceCELoss
from safetensors.torch import load_file
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts
from torch.utils.data import DataLoader

from bids_stroke.image import atomic

from . import loop, patients, tiles
from .progress import Progress


class Learner(pl.LightningModule):
    """BCE and soft Dice inside the brain; Adam; cosine annealing with warm restarts.

    Parameters
    ----------
    network : torch.nn.Module
    stage : dict
        ``learning_rate``, and ``cycle`` (epochs between restarts).
    loss : dict
        Shares of ``bce`` and ``dice``.
    """

    def __init__(self, network, stage, loss):
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last_3d)
        self.stage = stage
        self.loss = DiceCELoss(
            sigmoid=True, batch=True, lambda_ce=loss["bce"], lambda_dice=loss["dice"]
        )

    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.network.parameters(), lr=self.stage["learning_rate"])
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
        self.log("val_loss", self.loss(logits, label), sync_dist=True)
        self.log("val_dice", loop.dice(logits > 0, label > 0), sync_dist=True)


class Snapshots(Callback):
    """Write the weights at the end of some epochs (counted from 1)."""

    def __init__(self, folder, epochs):
        self.folder, self.epochs = Path(folder), epochs

    def on_train_epoch_end(self, trainer, module):
        epoch = trainer.current_epoch + 1
        if epoch in self.epochs and trainer.is_global_zero:
            loop.export(module.network, self.folder / f"snapshot-{epoch}.safetensors")


def train(recipe, parts, out, processes=1):
    """Train the recipe's network on patients, stage after stage.

    A stage that is complete is not trained again; one that was interrupted continues from its last
    epoch. Each stage leaves ``STAGE/weights.safetensors``, ``snapshot-EPOCH.safetensors``, logs as CSV
    and for TensorBoard, and ``summary.json``.

    Parameters
    ----------
    recipe : dict
    parts : dict of str to list of Patient
        ``training`` and ``validation``.
    out : Path

    Returns
    -------
    dict
        What the stages' summaries hold.
    """
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    data, settings = recipe["data"], recipe["training"]
    work = {"space": data["space"], "spacing": data["spacing"]}
    folder = out / "arrays"
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for part in ("training", "validation"):
        jobs = [(one, data["contrasts"], work, folder) for one in parts[part]]
        made = [path for _, path in patients.each(patients.arrays, jobs, processes)]
        for failed in (one for one in made if isinstance(one, Exception)):
            raise failed
        files[part] = sorted(made)
    pl.seed_everything(recipe["seed"], workers=True, verbose=False)
    network = loop.build(recipe["network"])
    if "initial" in recipe:
        network.load_state_dict(recipe["initial"])
    summaries = {}
    for stage in recipe["stages"]:
        tiles.check(files["training"], stage["tile"], "training")
        summaries[stage["name"]] = _run(stage, network, files, data, settings, out / stage["name"])
        weights = load_file(out / stage["name"] / "weights.safetensors")
        network.load_state_dict(weights)
    return summaries


def _run(stage, network, files, data, settings, out):
    done = out / "summary.json"
    if done.is_file():
        return json.loads(done.read_text())
    inputs = data.get("inputs") or [data["contrasts"]]
    shared = (stage["tile"], data["contrasts"], inputs)
    training = tiles.Tiles(files["training"], *shared, flip=settings["flip"])
    validation = tiles.Tiles(files["validation"], *shared, random=False)
    workers = {"num_workers": settings["workers"], "persistent_workers": settings["workers"] > 0}
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
        precision="bf16-mixed",
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
