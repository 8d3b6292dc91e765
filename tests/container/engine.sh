# Settings of podman for root on a machine that is itself a container; source this file. Images are
# stored in $STORE.
STORE=${STORE:-/tmp/bids_stroke_images}
mkdir -p "$STORE"
export CONTAINERS_STORAGE_CONF=$STORE/storage.conf CONTAINERS_CONF=$STORE/containers.conf
cat > "$CONTAINERS_STORAGE_CONF" <<END
[storage]
driver = "overlay"
graphroot = "$STORE/graph"
runroot = "$STORE/run"
END
cat > "$CONTAINERS_CONF" <<END
[containers]
netns = "host"
default_ulimits = ["nofile=$(ulimit -Hn):$(ulimit -Hn)", "nproc=32768:32768"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
END
BASE=python:3.11-slim-bookworm
SOURCES=$( (ls /etc/apt/sources.list.d/*.sources /etc/apt/sources.list 2>/dev/null || true) | head -1)
