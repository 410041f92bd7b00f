#!/usr/bin/env bash
# Unpacks Debian packages into a folder without installing them, which would
# start services or replace other packages. Needs no root.
#
#   hack/debian-unpack.sh FOLDER PACKAGE...
#
# It ends with 2, and says nothing, where apt-get or dpkg-deb is missing.
set -euo pipefail

target=$(mkdir -p "$1" && cd "$1" && pwd)
shift

if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
	exit 2
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

download() {
	(cd "$work" && apt-get download -q -o APT::Sandbox::User=root "$@") >"$work/log" 2>&1
}

if ! download "$@"; then
	# Package lists that are missing or too old are the usual reason to fail once.
	{ apt-get update -q && download "$@"; } >>"$work/log" 2>&1 || {
		cat "$work/log" >&2
		exit 1
	}
fi
for package in "$work"/*.deb; do
	dpkg-deb -x "$package" "$target"
done
