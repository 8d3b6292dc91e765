#!/bin/sh
# usage: update.sh VERSION      (requires npm)
# Replaces NiiVue by the given version of its npm package, and updates source.yaml and the licenses of the
# libraries that NiiVue includes. The package lacks NiiVue's own LICENSE, which is that of its repository.
set -eu
folder=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
npm install --silent --ignore-scripts --no-audit --no-fund --prefix "$work" "@niivue/niivue@$1"
cd "$work/node_modules"
cp @niivue/niivue/dist/niivue.umd.js "$folder"
cat > "$folder/source.yaml" <<END
# Written by update.sh.
package: "@niivue/niivue"
version: "$1"
file: dist/niivue.umd.js
sha256: $(sha256sum "$folder/niivue.umd.js" | cut -d ' ' -f 1)
license: BSD-2-Clause
END
# Rollup only builds packages; the other packages are parts of the library.
find . -mindepth 2 -maxdepth 3 -iname 'license*' -not -path './@rollup/*' | LC_ALL=C sort |
    while read -r license; do
        package=$(dirname "$license")
        printf '%s\n\n' "${package#./}"
        tr -d '\r' < "$license" | sed 's/[[:space:]]*$//'
        printf '\n'
    done > "$folder/LICENSE-libraries"
