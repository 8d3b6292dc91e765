"""nnU-Net v2: checkpoints, results folders and inference."""
