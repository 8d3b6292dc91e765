"""The training loop: a recipe in, weights out."""

import csv
import json
import math
import os
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, RichProgressBar, Timer
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from monai.losses import DiceCELoss
from safetensors.torch import load_file, save_file
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from bids_stroke.compute import devices
from bids_stroke.models import weights
from bids_stroke.training import recipes
from bids_stroke.training.simulation import subjects
from bids_stroke.training.simulation.synthesis import Simulator
from bids_stroke.utils.files import atomic

from . import samples

THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
WEIGHTS, SUMMARY = "weights.safetensors", "summary.json"
OUTSIDE = -20.0  # logit outside the brain: surely no lesion


def export(network, path):
    """Write the state dictionary of ``network`` as safetensors (atomic): parameters as float16, and
    what a normalization has counted as it is."""
    halved = {name for name, _ in network.named_parameters()}
    state = {
        name: (values.half() if name in halved else values).detach().cpu().contiguous()
        for name, values in network.state_dict().items()
    }
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

    def __init__(self, network, settings, inputs):
        super().__init__()
        self.network = devices.place(network, "cpu")  # Lightning moves it
        self.average = AveragedModel(
            network, multi_avg_fn=get_ema_multi_avg_fn(settings["ema_decay"]), use_buffers=True
        )
        self.settings = settings
        self.names = ["+".join(entry["contrasts"]) for entry in inputs]
        smoothing = settings["dice_smoothing"]
        # Dice of the whole batch: scan by scan, small lesions drive the network to mark nothing.
        self.loss = DiceCELoss(sigmoid=True, batch=True, smooth_nr=smoothing, smooth_dr=smoothing)
        self.pool = samples.Pool(samples.POOL, seed=0)
        self.scores = []

    def configure_optimizers(self):
        return torch.optim.AdamW(
            self.network.parameters(),
            lr=self.settings["learning_rate"],
            weight_decay=self.settings["weight_decay"],
        )

    def learning_rate(self, step, seconds):
        """Learning rate of a step, so many seconds after the start."""
        settings = self.settings
        elapsed = seconds / (60 * settings["max_minutes"])
        used = min(1.0, max(elapsed, step / settings["max_steps"]))
        warmth = min(1.0, (step + 1) / settings["warmup_steps"])
        # A plain number: checkpoints hold no NumPy types.
        return settings["learning_rate"] * warmth * 0.5 * (1 + math.cos(math.pi * used))

    def on_after_batch_transfer(self, batch, dataloader_idx):
        return self.pool.batch(batch, self.settings["batch"]) if self.trainer.training else batch

    def on_train_batch_start(self, batch, batch_idx):
        rate = self.learning_rate(self.global_step, elapsed(self.trainer))
        for group in self.optimizers().param_groups:
            group["lr"] = rate

    def training_step(self, batch, batch_idx):
        image, label, mask = batch
        # On a CPU one by one, so that norms need no copies (devices.place).
        parts = image.split(1) if image.device.type == "cpu" else [image]
        logits = torch.cat([self.network(part) for part in parts]).float()
        loss = self.loss(logits.masked_fill(mask == 0, OUTSIDE), label)
        self.log("loss", loss, prog_bar=True)
        return loss

    def on_train_batch_end(self, outputs, batch, batch_idx):
        self.average.update_parameters(self.network)

    def validation_step(self, batch, batch_idx):
        image, label, mask, entry = batch
        probability = self.average(image).float().sigmoid() * mask
        for p, truth, index in zip(probability, label > 0, entry.tolist(), strict=True):
            if truth.any():
                self.scores.append([index, *(dice(p > t, truth) for t in THRESHOLDS)])

    def on_validation_epoch_end(self):
        if not self.scores:
            return
        scores, self.scores = np.array(self.scores), []
        columns = zip(THRESHOLDS, scores[:, 1:].mean(0), strict=True)
        values = {f"dice_{t}": float(mean) for t, mean in columns}
        middle = 1 + THRESHOLDS.index(0.5)
        for index in np.unique(scores[:, 0]).astype(int):
            values[self.names[index]] = float(scores[scores[:, 0] == index, middle].mean())
        self.log_dict(values, on_epoch=True)


class Export(Callback):
    """Write the averaged weights after each validation."""

    def __init__(self, path):
        self.path = path

    def on_validation_end(self, trainer, module):
        if not trainer.sanity_checking:
            export(module.average.module, self.path)


def nodes():
    """Machines of the Slurm job, or 1."""
    return int(os.environ.get("SLURM_NNODES", 1))


def elapsed(trainer):
    """Seconds of training so far, those before an interruption included."""
    timer = next(c for c in trainer.callbacks if isinstance(c, Timer))
    return timer.time_elapsed("train")


def parts(recipe, data):
    """Files of each part: ``{"training": {"heads": [...], "lesions": [...]}, …}``.

    Each folder of the recipe's ``sources`` is divided by itself, so that every part has its share
    of each.
    """
    divided = {part: {} for part in ("training", "validation", "test")}
    for kind, folders in recipe["sources"].items():
        for folder in folders:
            files = subjects.scans([Path(data) / folder])
            shares = subjects.split(files, **recipe["held_out"][kind], seed=recipe["seed"])
            for part, chosen in zip(divided.values(), shares, strict=True):
                part.setdefault(kind, []).extend(chosen)
    return divided


def material(files, cache):
    """Load the files of a part: subjects and lesions, as :class:`synthesis.Simulator` takes them."""
    heads = [subjects.subject(path, cache) for path in files["heads"]]
    return heads, [lesion for path in files["lesions"] if (lesion := subjects.lesion(path))]


def simulator(loaded, recipe, device="cpu"):
    """The :class:`synthesis.Simulator` of a recipe, of what :func:`material` has loaded."""
    return Simulator(*loaded, recipe["tile"], recipe["spacing"], recipe["synthesis"], device)


def workers(settings):
    """Processes that simulate beside a GPU. A CPU simulates between the steps of the training."""
    return settings["workers"] if torch.cuda.is_available() else 0


def fit(recipe, training, validation, out):
    """Train the recipe's network on two simulators.

    Writes ``weights.safetensors`` (averaged weights), ``checkpoints/last.ckpt`` (from which the
    same call continues after an interruption), ``log/version_*/metrics.csv``, TensorBoard's files
    and, at the end, ``summary.json`` (steps, minutes, Dice by threshold and by input on the
    validation samples).

    Returns
    -------
    dict
        What ``summary.json`` holds.
    """
    settings, out = recipe["training"], Path(out)
    torch.set_num_threads(settings["threads"])
    pl.seed_everything(recipe["seed"], verbose=False)
    last = out / "checkpoints" / "last.ckpt"
    network = weights.build(recipe["network"])
    if "initial" in recipe:
        network.load_state_dict(load_file(recipe["initial"]))
    module = Segmenter(network, settings, recipe["inputs"])
    trainer = _trainer(settings, out)
    begun = torch.load(last, weights_only=True)["global_step"] if last.exists() else 0
    # A continued training must not see again what it has seen.
    stream = samples.Stream(training, recipe["channels"], recipe["inputs"], [recipe["seed"], begun])
    fixed = samples.Fixed(
        validation,
        recipe["channels"],
        recipe["inputs"],
        settings["validation_samples"],
        [recipe["seed"], 1],
    )
    loaders = (
        DataLoader(
            stream,
            max(1, settings["batch"] // settings["reuse"]),
            num_workers=workers(settings),
            worker_init_fn=samples.single_threaded,
        ),
        DataLoader(fixed, 1),
    )
    trainer.fit(module, *loaders, ckpt_path=last if begun else None, weights_only=True)
    trainer.validate(module, loaders[1], verbose=False)
    export(module.average.module, out / WEIGHTS)
    summary = {
        "steps": trainer.global_step,
        "minutes": round(elapsed(trainer) / 60, 1),
        "validation": {k: round(float(v), 4) for k, v in trainer.callback_metrics.items()},
    }
    with atomic(out / SUMMARY) as partial:
        partial.write_text(json.dumps(summary, indent=2))
    return summary


def _trainer(settings, out):
    return pl.Trainer(
        accelerator="auto",
        devices=1,
        precision=devices.precision(),
        max_steps=settings["max_steps"],
        gradient_clip_val=settings["clip"],
        val_check_interval=settings["validation_every"],
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        enable_model_summary=False,
        log_every_n_steps=10,
        logger=[
            CSVLogger(out, name="log"),
            TensorBoardLogger(out, name="tensorboard", version=""),
        ],
        callbacks=[
            Timer({"seconds": 60 * settings["max_minutes"]}, interval="step"),
            Export(out / WEIGHTS),
            ModelCheckpoint(
                out / "checkpoints",
                save_last=True,
                save_top_k=0,
                every_n_train_steps=settings["validation_every"],
            ),
            RichProgressBar(),
        ],
    )


def train_on_simulations(recipe, out, data):
    """Find the files, prepare them, and train (see :func:`fit`).

    Parameters
    ----------
    recipe : dict
        ``first`` holds what differs in a training before this one, from whose weights it goes on.
    out : path
        Also receives ``split.csv``, which file went to which part, ``cache``, and ``first``.
    data : path
        Where the folders of the recipe's ``sources`` lie.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    files = parts(recipe, data)
    with atomic(out / "split.csv") as partial, partial.open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["part", "folder", "file"])
        for part, kinds in files.items():
            for path in (path for paths in kinds.values() for path in paths):
                rows.writerow([part, path.parent.name, path.name])
    loaded = {part: material(files[part], out / "cache") for part in ("training", "validation")}
    if "first" in recipe:
        before = out / "first"
        if not (before / SUMMARY).exists():
            _simulate_and_fit(recipes.merged(recipe, recipe["first"]), loaded, before)
        recipe = recipe | {"initial": before / WEIGHTS}
    return _simulate_and_fit(recipe, loaded, out)


def _simulate_and_fit(recipe, loaded, out):
    device = devices.resolve("auto")
    on = {"training": "cpu" if workers(recipe["training"]) else device, "validation": device}
    simulators = [simulator(loaded[part], recipe, on[part]) for part in on]
    return fit(recipe, *simulators, out)
