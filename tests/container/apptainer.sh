#!/usr/bin/env bash
# usage: apptainer.sh make | build SIF | APPTAINER ARGUMENTS...
# Apptainer is in Debian unstable, but not in Debian stable. `make` installs it into the folder $ROOT,
# and `build` builds singularity.def with it, on the base image of build.sh. Any other arguments are
# passed to Apptainer, which runs without network access and shares only /tmp.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
ROOT=${ROOT:-/tmp/bids_stroke_apptainer}

# Run a command with $ROOT as root folder, in a mount namespace that is removed when the command ends.
inside() {
    exec unshare --mount "${options[@]}" --propagation private bash -c '
        set -e
        mount --bind "$0" "$0"
        mkdir -p "$0/old_root"
        for folder in proc sys dev tmp; do mount --rbind /$folder "$0/$folder"; done
        cp /etc/hosts /etc/resolv.conf "$0/etc/"
        cd "$0"
        pivot_root . old_root
        cd /
        umount -l /old_root
        exec "$@"' "$ROOT" "$@"
}

options=()
case $1 in
make)
    [ -x "$ROOT/usr/bin/apptainer" ] && exit
    . "$here/engine.sh"
    mmdebstrap -q --variant=minbase --aptopt='Acquire::Check-Valid-Until "false"' \
        --aptopt='Acquire::Check-Date "false"' --aptopt='Acquire::Languages "none"' \
        --include=ca-certificates,apptainer,e2fsprogs,squashfuse,fuse2fs,fuse-overlayfs \
        sid "$ROOT" "$(sed -n 's/^URIs: *//p; s/^deb \(\[.*\] \)\?\([^ ]*\).*/\2/p' "$SOURCES" | head -1)"
    echo root:100000:65536 | tee "$ROOT/etc/subuid" > "$ROOT/etc/subgid"
    ;;
build)
    . "$here/engine.sh"
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    podman save -q -o "$work/base.tar" "localhost/$BASE"
    cp -r "$here"/../../{bids_stroke,pipelines,container,constraints.txt,pyproject.toml,setup.cfg,LICENSE,README.md} "$work/"
    sed "s|^Bootstrap: .*|Bootstrap: docker-archive|; s|^From: .*|From: $work/base.tar|" \
        "$here/../../singularity.def" > "$work/singularity.def"
    wheels=$(python3 -m pip config get global.find-links 2>/dev/null || true)
    build_options=()
    if [ -d "$wheels" ]; then
        cp -r "$wheels" "$work/wheels"
        build_options=(--build-arg PIP_FIND_LINKS=/mnt --bind "$work/wheels:/mnt")
    fi
    start=$SECONDS
    (inside sh -c 'cd "$0" && exec "$@"' "$work" apptainer build --fakeroot "${build_options[@]}" \
        --mksquashfs-args "-comp zstd -Xcompression-level 1" "$work/image.sif" singularity.def)
    mv "$work/image.sif" "$2"
    echo "image $2: $(($(stat -c %s "$2") / 1000000)) MB, built in $((SECONDS - start)) s"
    ;;
*)
    options=(--net)
    export APPTAINER_USERNS=1 # as for an unprivileged user
    inside apptainer "$@"
    ;;
esac
