#!/usr/bin/env bash
# Takes a program out of a Debian package without installing the package, which
# would start its services or replace others. Needs no root.
#
#   hack/debian-program.sh PACKAGE PROGRAM FOLDER
#
# It ends with 2, and says nothing, where there is no apt-get or dpkg-deb.
set -euo pipefail

package=$1
program=$2
target=$(mkdir -p "$3" && cd "$3" && pwd)/$program

if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
	exit 2
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

download() {
	(cd "$work" && apt-get download -q -o APT::Sandbox::User=root "$package") >"$work/log" 2>&1
}

if ! download; then
	# Package lists that are missing or too old are the usual reason to fail once.
	{ apt-get update -q && download; } >>"$work/log" 2>&1 || {
		cat "$work/log" >&2
		exit 1
	}
fi
dpkg-deb -x "$work/$package"_*.deb "$work/root"
found=$(find "$work/root" -type f -path "*bin/$program" -perm -u+x -print -quit)
install -m 0755 "$found" "$target"
