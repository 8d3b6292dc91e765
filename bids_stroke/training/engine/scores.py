"""Common parts of training losses and scores: logits inside the brain, Dice of tensors."""

import torch
from torch.nn import functional

OUTSIDE_LOGIT = -20.0  # logit outside the brain: surely no lesion


def mask_logits(logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Logits inside the brain mask, and :data:`bids_stroke.training.engine.scores.OUTSIDE_LOGIT`
    elsewhere."""
    return logits.masked_fill(mask == 0, OUTSIDE_LOGIT)


def dice(predicted: torch.Tensor, truth: torch.Tensor) -> float:
    """Dice of two boolean tensors; 1 when both are empty."""
    total = int(predicted.sum() + truth.sum())
    return 2 * int((predicted & truth).sum()) / total if total else 1.0


def weighted_loss(
    logits: torch.Tensor, label: torch.Tensor, weight: torch.Tensor, smoothing: float
) -> torch.Tensor:
    """Weighted cross-entropy plus weighted soft Dice loss of a whole batch.

    Dice is computed over the batch: scan by scan, small lesions drive a network to mark nothing.

    Parameters
    ----------
    logits, label, weight : tensor, (batch, 1, x, y, z)
    smoothing : float
        Added to both sides of the fraction (voxels), so that samples without a lesion push false
        positives down.
    """
    entropy = functional.binary_cross_entropy_with_logits(logits, label, weight)
    probability = logits.sigmoid()
    overlap = (weight * probability * label).sum()
    total = (weight * (probability + label)).sum()
    return entropy + 1 - (2 * overlap + smoothing) / (total + smoothing)
