#!/usr/bin/env bash
# usage: build.sh [TAG]
# Builds the Dockerfile with podman as image TAG (default: bids_stroke), and prints the size of the image
# and the duration of the build. If the base image is not available, a substitute is built from Debian
# packages. If pip's option find-links is set to a folder, the CPU build of torch is taken from there.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
tag=${1:-bids_stroke}
# Machines that have both, such as those of public CI services, need no installation.
command -v podman >/dev/null && command -v mmdebstrap >/dev/null || {
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends podman buildah runc mmdebstrap >/dev/null
}
. "$here/engine.sh"

if ! podman image exists "localhost/$BASE"; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    mmdebstrap -q --variant=minbase --include=ca-certificates,netbase,python3,python3-venv,tzdata \
        --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Languages "none"' \
        --customize-hook='rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*' \
        bookworm "$work/base.tar" "$SOURCES"
    podman import -q "$work/base.tar" localhost/debian >/dev/null
    mkdir "$work/certificates"
    cp /usr/local/share/ca-certificates/*.crt "$work/certificates/" 2>/dev/null || true
    cat > "$work/Dockerfile" <<'END'
FROM localhost/debian
COPY certificates/ /usr/local/share/ca-certificates/
RUN update-ca-certificates && python3 -m venv /usr/local && \
    printf '[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n' > /etc/pip.conf
ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8
END
    podman build -q --isolation chroot --pull=never -t "localhost/$BASE" "$work" >/dev/null
fi

options=()
wheels=$(python3 -m pip config get global.find-links 2>/dev/null || true)
[ -d "$wheels" ] && options+=(--build-arg "PIP_FIND_LINKS=$wheels" -v "$wheels:$wheels:ro")
start=$SECONDS
podman build -q --isolation chroot --pull=never -t "localhost/$tag" "${options[@]}" "$here/../.." >/dev/null
size=$(podman image inspect --format '{{.Size}}' "localhost/$tag")
base=$(podman image inspect --format '{{.Size}}' "localhost/$BASE")
echo "image localhost/$tag: $((size / 1000000)) MB, of which the base image $((base / 1000000)) MB," \
    "built in $((SECONDS - start)) s"
