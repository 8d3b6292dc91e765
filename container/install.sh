#!/bin/sh
# usage: install.sh dependencies | package [PREFIX]      (in the source folder)
# Installs the contents of both images. The virtual environment has no pip, and no files that are not
# needed at run time, such as tests and headers. Set PIP_EXTRA_INDEX_URL or PIP_FIND_LINKS for a CPU
# build of torch.
set -eu
venv=/opt/bids_stroke
export PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore

install() {
    pip --python $venv/bin/python install -c constraints.txt "$@"
}

case $1 in
dependencies)
    python3 -m venv --without-pip $venv
    python3 -c "
from configparser import ConfigParser
setup = ConfigParser()
setup.read('setup.cfg')
print(setup['options']['install_requires'], setup['options.extras_require']['deepbet'])" > /tmp/requirements.txt
    install -r /tmp/requirements.txt
    rm /tmp/requirements.txt
    cd $venv/lib/python3.*/site-packages
    find . -depth -type d -name tests -exec rm -r {} +
    find . -type f \( -name '*.h' -o -name '*.hpp' -o -name '*.cuh' -o -name '*.a' \) -delete
    rm -rf torch/test torch/bin/test_* torch/bin/*Test torch/bin/protoc*
    ;;
package)
    install --no-deps --prefix "${2:-$venv}" .
    ;;
*)
    sed -n 2p "$0" >&2
    exit 2
    ;;
esac
