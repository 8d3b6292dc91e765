"""Losses and scores of training: logits inside the brain, Dice, weighted loss."""

import torch
from torch.nn import functional

OUTSIDE_LOGIT = -20.0  # logit outside the brain, a lesion probability of practically zero


def mask_logits(logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Set logits outside the brain mask to
    :data:`bids_stroke.training.engine.scores.OUTSIDE_LOGIT`."""
    return logits.masked_fill(mask == 0, OUTSIDE_LOGIT)


def dice(predicted: torch.Tensor, truth: torch.Tensor) -> float:
    """Return the Dice of two boolean tensors; 1 if both are empty."""
    total = int(predicted.sum() + truth.sum())
    return 2 * int((predicted & truth).sum()) / total if total else 1.0


def weighted_loss(
    logits: torch.Tensor, label: torch.Tensor, weight: torch.Tensor, smoothing: float
) -> torch.Tensor:
    """Return the weighted cross-entropy plus the weighted soft Dice loss of a batch.

    The Dice is computed over the batch, because small lesions in a Dice of single scans lead to
    networks that predict no lesion.

    Parameters
    ----------
    logits, label, weight : tensor, (batch, 1, x, y, z)
    smoothing : float
        Voxels added to numerator and denominator of the Dice, so that samples without lesion reduce
        false positives.
    """
    entropy = functional.binary_cross_entropy_with_logits(logits, label, weight)
    probability = logits.sigmoid()
    overlap = (weight * probability * label).sum()
    total = (weight * (probability + label)).sum()
    return entropy + 1 - (2 * overlap + smoothing) / (total + smoothing)
