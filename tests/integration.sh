#!/usr/bin/env bash
# Tests that `make test-all` skips: building and running the container images, and running on a single-node
# Slurm cluster on this machine. They need root, and take twenty minutes on two cores.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! unshare --mount true; then
    echo "NOT TESTED: container images and Slurm. The tests need root and permission to mount." >&2
    exit
fi
python=$PWD/.venv/bin/python
tests/container/build.sh
(
    . tests/container/engine.sh
    BIDS_STROKE_IMAGE=localhost/bids_stroke "$python" -m pytest -q tests/container -k "not Apptainer"
)
tests/cluster/slurm.sh "$python" -m pytest -q -m "" --rounds 2 tests/cluster

# Apptainer is installed from Debian unstable, which occasionally fails.
export BIDS_STROKE_SIF=/tmp/bids_stroke.sif BIDS_STROKE_APPTAINER=$PWD/tests/container/apptainer.sh
if tests/container/apptainer.sh make; then
    tests/container/apptainer.sh build "$BIDS_STROKE_SIF"
    "$python" -m pytest -q tests/container -k Apptainer
else
    echo "NOT TESTED: singularity.def. Apptainer could not be installed from Debian unstable." >&2
fi
