#!/usr/bin/env bash
# usage: apptainer.sh make | build SIF | ARGUMENTS OF APPTAINER...
# Debian's stable suite has no Apptainer, but its unstable one has: `make` puts it into the folder
# $ROOT, `build` builds singularity.def with it, upon the base image of build.sh. Anything else runs
# there, without network; only /tmp is shared.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
ROOT=${ROOT:-/tmp/bids_stroke_apptainer}

# Runs a command with $ROOT as its root folder, in mounts of its own, which go when it ends.
inside() {
    exec unshare --mount "${options[@]}" --propagation private bash -c '
        set -e
        mount --bind "$0" "$0"
        mkdir -p "$0/before"
        for folder in proc sys dev tmp; do mount --rbind /$folder "$0/$folder"; done
        cp /etc/hosts /etc/resolv.conf "$0/etc/"
        cd "$0"
        pivot_root . before
        cd /
        umount -l /before
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
    more=()
    if [ -d "$wheels" ]; then
        cp -r "$wheels" "$work/wheels"
        more=(--build-arg PIP_FIND_LINKS=/mnt --bind "$work/wheels:/mnt")
    fi
    begin=$SECONDS
    (inside sh -c 'cd "$0" && exec "$@"' "$work" apptainer build --fakeroot "${more[@]}" \
        --mksquashfs-args "-comp zstd -Xcompression-level 1" "$work/image.sif" singularity.def)
    mv "$work/image.sif" "$2"
    echo "image $2: $(($(stat -c %s "$2") / 1000000)) MB, built in $((SECONDS - begin)) s"
    ;;
*)
    options=(--net)
    export APPTAINER_USERNS=1 # as for a user without privileges
    inside apptainer "$@"
    ;;
esac
