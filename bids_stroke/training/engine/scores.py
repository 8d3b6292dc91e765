"""Common parts of training losses and scores: logits inside the brain, Dice of tensors."""

import torch

OUTSIDE = -20.0  # logit outside the brain: surely no lesion


def inside(logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Logits inside the brain mask, and :data:`bids_stroke.training.engine.scores.OUTSIDE`
    elsewhere."""
    return logits.masked_fill(mask == 0, OUTSIDE)


def dice(predicted: torch.Tensor, truth: torch.Tensor) -> float:
    """Dice of two boolean tensors; 1 when both are empty."""
    total = int(predicted.sum() + truth.sum())
    return 2 * int((predicted & truth).sum()) / total if total else 1.0
