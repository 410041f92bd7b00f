#!/usr/bin/env bash
# Takes a program out of a Debian package without installing the package.
#
#   hack/debian-program.sh PACKAGE PROGRAM FOLDER
#
# It ends with 2, and says nothing, where apt-get or dpkg-deb is missing.
set -euo pipefail

hack=$(cd "$(dirname "$0")" && pwd)
package=$1
program=$2
target=$(mkdir -p "$3" && cd "$3" && pwd)/$program

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

"$hack/debian-unpack.sh" "$root" "$package"
found=$(find "$root" -type f -path "*bin/$program" -perm -u+x -print -quit)
install -m 0755 "$found" "$target"
