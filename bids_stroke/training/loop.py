"""The training loop: a recipe in, weights out."""

import csv
import importlib
import json
import time
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, Timer
from lightning.pytorch.loggers import CSVLogger
from monai.losses import DiceCELoss
from safetensors.torch import save_file
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from bids_stroke.image import atomic

from . import datasets

THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
OUTSIDE = -20.0  # logit outside the brain: surely no lesion


def export(network, path):
    """Write the state dictionary of ``network`` as safetensors (float32, atomic)."""
    state = {k: v.detach().float().contiguous() for k, v in network.state_dict().items()}
    with atomic(path) as partial:
        save_file(state, partial)
    return Path(path)


def dice(predicted, truth):
    """Dice of two boolean tensors; 1 when both are empty."""
    total = int(predicted.sum() + truth.sum())
    return 2 * int((predicted & truth).sum()) / total if total else 1.0


class Segmenter(pl.LightningModule):
    """Dice and cross-entropy inside the brain; AdamW; warm-up, then cosine decay.

    The decay follows the larger share used of the two budgets, steps and wall-clock time, so that
    training ends at a learning rate of zero whichever runs out first. An exponential moving
    average of the weights is what is validated and exported.
    """

    def __init__(self, network, settings):
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last_3d)
        self.average = AveragedModel(
            network, multi_avg_fn=get_ema_multi_avg_fn(settings["ema_decay"])
        )
        self.settings = settings
        smoothing = settings["dice_smoothing"]
        self.loss = DiceCELoss(sigmoid=True, smooth_nr=smoothing, smooth_dr=smoothing)
        self.scores = []

    def configure_optimizers(self):
        return torch.optim.AdamW(
            self.network.parameters(),
            lr=self.settings["learning_rate"],
            weight_decay=self.settings["weight_decay"],
        )

    def on_fit_start(self):
        self.started = time.monotonic()

    def learning_rate(self, step):
        """Learning rate of a step, now."""
        settings = self.settings
        elapsed = (time.monotonic() - self.started) / (60 * settings["max_minutes"])
        used = min(1.0, max(elapsed, step / settings["max_steps"]))
        warmth = min(1.0, (step + 1) / settings["warmup_steps"])
        return settings["learning_rate"] * warmth * 0.5 * (1 + np.cos(np.pi * used))

    def on_train_batch_start(self, batch, batch_idx):
        for group in self.optimizers().param_groups:
            group["lr"] = self.learning_rate(self.global_step)

    def training_step(self, batch, batch_idx):
        image, label, mask = batch
        logits = self.network(image).float()
        loss = self.loss(logits.masked_fill(mask == 0, OUTSIDE), label)
        self.log("loss", loss)
        return loss

    def on_train_batch_end(self, outputs, batch, batch_idx):
        self.average.update_parameters(self.network)

    def validation_step(self, batch, batch_idx):
        image, label, mask = batch
        probability = self.average(image).float().sigmoid() * mask
        for p, truth in zip(probability, label > 0, strict=True):
            self.scores.append([dice(p > t, truth) for t in THRESHOLDS])

    def on_validation_epoch_end(self):
        mean = np.mean(self.scores, axis=0)
        self.scores = []
        self.log_dict(
            {f"dice_{t}": float(m) for t, m in zip(THRESHOLDS, mean, strict=True)}, on_epoch=True
        )


class Export(Callback):
    """Write the averaged weights after each validation."""

    def __init__(self, path):
        self.path = path

    def on_validation_end(self, trainer, module):
        if not trainer.sanity_checking:
            export(module.average.module, self.path)


def build(network):
    """The network of a recipe's or card's ``network`` section."""
    family = importlib.import_module(f"bids_stroke.models.{network['family']}")
    return family.build(**network["arguments"])


def parts(recipe, brains, lesions):
    """Brain and lesion files of each part: ``{"training": (brains, lesions), …}``."""
    held = recipe["held_out"]
    divided = [
        datasets.split(datasets.scans(folders), **held[kind], seed=recipe["seed"])
        for kind, folders in (("brains", [brains]), ("lesions", lesions))
    ]
    return dict(zip(("training", "validation", "test"), zip(*divided, strict=True), strict=True))


def simulator(files, recipe, cache):
    """Load brain and lesion files into a :class:`datasets.Simulator`."""
    brains = [datasets.prepare_brain(path, recipe["spacing"], cache) for path in files[0]]
    lesions = [lesion for path in files[1] if (lesion := datasets.read_lesion(path))]
    return datasets.Simulator(brains, lesions, recipe)


def fit(recipe, training, validation, out):
    """Train the recipe's network on two simulators.

    Writes ``weights.safetensors`` (averaged weights), ``log/metrics.csv`` and, at the end,
    ``summary.json`` (steps, minutes, Dice by threshold on the validation samples).

    Returns
    -------
    dict
        What ``summary.json`` holds.
    """
    settings, out = recipe["training"], Path(out)
    torch.set_num_threads(settings["threads"])
    pl.seed_everything(recipe["seed"])
    module = Segmenter(build(recipe["network"]), settings)
    stream = datasets.Stream(training, recipe["seed"])
    fixed = datasets.Fixed(validation, settings["validation_samples"], recipe["seed"])
    trainer = pl.Trainer(
        accelerator="auto",
        devices=1,
        precision="bf16-mixed",
        max_steps=settings["max_steps"],
        gradient_clip_val=settings["clip"],
        val_check_interval=settings["validation_every"],
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=10,
        logger=CSVLogger(out, name="log", version=""),
        callbacks=[
            Timer({"seconds": 60 * settings["max_minutes"]}, interval="step"),
            Export(out / "weights.safetensors"),
        ],
    )
    loaders = (
        DataLoader(stream, settings["batch"], num_workers=settings["workers"]),
        DataLoader(fixed, settings["batch"]),
    )
    trainer.fit(module, *loaders)
    trainer.validate(module, loaders[1], verbose=False)
    export(module.average.module, out / "weights.safetensors")
    summary = {
        "steps": trainer.global_step,
        "minutes": round((time.monotonic() - module.started) / 60, 1),
        "validation": {k: round(float(v), 4) for k, v in trainer.callback_metrics.items()},
    }
    with atomic(out / "summary.json") as partial:
        partial.write_text(json.dumps(summary, indent=2))
    return summary


def train(recipe, out, brains, lesions):
    """Find the files, prepare them, and train (see :func:`fit`).

    Also writes ``split.csv``: which file went to which part.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    files = parts(recipe, brains, lesions)
    with atomic(out / "split.csv") as partial, partial.open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["part", "folder", "file"])
        for part, groups in files.items():
            for path in (*groups[0], *groups[1]):
                rows.writerow([part, path.parent.name, path.name])
    training, validation = (
        simulator(files[part], recipe, out / "affines") for part in ("training", "validation")
    )
    return fit(recipe, training, validation, out)
