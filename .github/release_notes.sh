#!/bin/sh
# usage: release_notes.sh VERSION      (in the root of the repository)
# Prints the section of CHANGES.md of a version; fails if there is none.
set -eu
awk -v heading="## [$1] " '
    /^## / { inside = index($0, heading) == 1; next }
    inside { print; lines += NF }
    END { exit !lines }
' CHANGES.md
