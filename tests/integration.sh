#!/usr/bin/env bash
# The images, runs of them, and runs on a Slurm cluster of this machine: what `make test` skips. It
# needs root, and twenty minutes of two cores.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! unshare --mount true; then
    echo "NOT TESTED: images and Slurm. They need root and mounts, which are refused here." >&2
    exit
fi
python=$PWD/.venv/bin/python
tests/container/build.sh
(
    . tests/container/engine.sh
    BIDS_STROKE_IMAGE=localhost/bids_stroke "$python" -m pytest -q tests/container -k "not Apptainer"
)
BIDS_STROKE_ROUNDS=${BIDS_STROKE_ROUNDS:-2} tests/cluster/slurm.sh "$python" -m pytest -q tests/cluster

# Apptainer comes from Debian's unstable suite, which on some days cannot be installed.
export BIDS_STROKE_SIF=/tmp/bids_stroke.sif BIDS_STROKE_APPTAINER=$PWD/tests/container/apptainer.sh
if tests/container/apptainer.sh make; then
    tests/container/apptainer.sh build "$BIDS_STROKE_SIF"
    "$python" -m pytest -q tests/container -k Apptainer
else
    echo "NOT TESTED: singularity.def. Apptainer could not be installed from Debian's unstable suite." >&2
fi
