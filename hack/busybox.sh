#!/usr/bin/env bash
# Puts a statically linked busybox into a folder. It is all that the base image
# of demo and tests consists of, so that they need no public registry.
#
#   hack/busybox.sh FOLDER
#
# It takes the one on PATH, or the one of Debian's package busybox-static.
set -euo pipefail

hack=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
target=$(cd "$1" && pwd)/busybox

# ldd fails for a program that is linked statically.
static() {
	[[ -x $1 ]] && "$1" true 2>/dev/null && ! ldd "$1" >/dev/null 2>&1
}

if static "$target"; then
	exit 0
fi

found=$(command -v busybox || true)
if [[ -n $found ]] && static "$found"; then
	install -m 0755 "$found" "$target"
	exit 0
fi

"$hack/debian-program.sh" busybox-static busybox "$1" || {
	echo "No statically linked busybox: install busybox-static (or put one at $target), then try again." >&2
	exit 1
}
