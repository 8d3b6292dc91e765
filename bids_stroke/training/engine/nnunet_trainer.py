"""nnU-Net's trainer with the settings of a recipe, read from ``dataset.json``."""

import csv
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform
from nnunetv2.training.data_augmentation.compute_initial_patch_size import get_patch_size
from nnunetv2.training.lr_scheduler.polylr import PolyLRScheduler
from nnunetv2.training.nnUNetTrainer import nnUNetTrainer as original
from safetensors.torch import load_file
from torch.utils.tensorboard import SummaryWriter

from bids_stroke.models.networks.dynamic_unet import canonical
from bids_stroke.training.recipe_settings import NNUNetSettings

CURVES = ("train_losses", "val_losses", "mean_fg_dice", "lrs")


class nnUNetTrainer(original.nnUNetTrainer):
    """nnU-Net trainer with learning rate, epochs, augmentation and initial weights of a recipe.

    ``checkpoint_lowest_loss.pth`` stores the network with the lowest validation loss. The class has the
    name of nnU-Net's default trainer, so that nnU-Net's commands can read the results.
    """

    def __init__(
        self,
        plans: dict[str, Any],
        configuration: str,
        fold: int,
        dataset_json: dict[str, Any],
        device: torch.device = torch.device("cuda"),  # noqa: B008
    ) -> None:
        super().__init__(plans, configuration, fold, dataset_json, device)
        settings = dict(dataset_json["bids_stroke"])
        self.initial_weights: str | None = settings.pop("initial")
        self.settings = NNUNetSettings(**settings)
        self.num_epochs = self.settings.epochs
        self.initial_lr = self.settings.learning_rate
        self.num_iterations_per_epoch = self.settings.iterations
        self.num_val_iterations_per_epoch = self.settings.validation_iterations
        self.save_every = self.settings.save_every

    def initialize(self) -> None:
        """Build the network and load the initial weights."""
        super().initialize()
        if self.initial_weights:
            network: Any = getattr(self.network, "module", self.network)
            state = load_file(self.initial_weights)
            uncompiled = getattr(network, "_orig_mod", network)
            missing, unexpected = uncompiled.load_state_dict(state, False)
            if unexpected or canonical({name: torch.empty(0) for name in missing}):
                raise RuntimeError(f"{self.initial_weights} does not fit the plan")

    def configure_optimizers(self) -> tuple[Any, Any]:
        """Return nnU-Net's optimizer and the schedule of the recipe."""
        optimizer, schedule = super().configure_optimizers()
        if self.settings.decay_epochs:
            schedule = PolyLRScheduler(optimizer, self.initial_lr, self.settings.decay_epochs)
        return optimizer, schedule

    def configure_rotation_dummyDA_mirroring_and_inital_patch_size(
        self,
    ) -> tuple[tuple[float, float], bool, Any, tuple[int, ...]]:
        """Set the rotation of the recipe and left-right mirroring."""
        _, flat, _, _ = super().configure_rotation_dummyDA_mirroring_and_inital_patch_size()
        angle = np.deg2rad(self.settings.rotation)
        rotation = (-angle, angle)
        patch = self.configuration_manager.patch_size
        size = get_patch_size(patch, rotation, rotation, rotation, self.settings.scaling)
        if flat:
            size[0] = patch[0]
        # Left-right is the last axis of nnU-Net's order before the transposition by the plan.
        sagittal = (list(self.plans_manager.transpose_forward).index(2),)
        self.inference_allowed_mirroring_axes = sagittal
        return rotation, flat, size, sagittal

    def get_training_transforms(self, *arguments: Any, **keywords: Any) -> Any:
        """Return nnU-Net's transforms with the scaling of the recipe."""
        composed = original.nnUNetTrainer.get_training_transforms(*arguments, **keywords)
        for transform in composed.transforms:
            if isinstance(transform, SpatialTransform):
                transform.scaling = tuple(self.settings.scaling)
        return composed

    def on_epoch_end(self) -> None:
        """Save the checkpoint of the lowest validation loss and log the curves."""
        epoch = self.current_epoch
        super().on_epoch_end()
        if self.local_rank:
            return
        values = {key: float(self.logger.get_value(key, step=-1)) for key in CURVES}
        losses = self.logger.get_value("val_losses", step=None)
        if values["val_losses"] <= min(losses):
            self.save_checkpoint(f"{self.output_folder}/checkpoint_lowest_loss.pth")
        self._write(epoch, values)
        starts = self.logger.get_value("epoch_start_timestamps", step=-1)
        left = (self.num_epochs - epoch - 1) * (time.time() - starts)
        self.print_to_log_file(
            f"epoch {epoch + 1} of {self.num_epochs}, about {left / 3600:.1f} hours left"
        )

    def _write(self, epoch: int, values: Mapping[str, float]) -> None:
        with SummaryWriter(f"{self.output_folder}/tensorboard") as writer:
            for key, value in values.items():
                writer.add_scalar(key, value, epoch)
        with open(f"{self.output_folder}/metrics.csv", "a", newline="") as stream:
            rows = csv.writer(stream)
            if not stream.tell():
                rows.writerow(["epoch", *values])
            rows.writerow([epoch, *values.values()])
