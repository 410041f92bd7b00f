#!/usr/bin/env bash
# Puts a statically linked busybox into a folder. It is all that the base image
# of demo and tests consists of, so that they need no public registry.
#
#   hack/busybox.sh FOLDER
#
# It takes the one on PATH, or unpacks Debian's package busybox-static without
# installing it (which would replace the package busybox).
set -euo pipefail

mkdir -p "$1"
target=$(cd "$1" && pwd)/busybox

# ldd fails for a program without an interpreter, and for another machine's.
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

if command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null; then
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	# apt drops root's rights for a download, and then must be able to write here.
	chmod 0755 "$work"
	download() {
		(cd "$work" && apt-get download -q -o APT::Sandbox::User=root busybox-static) >"$work/log" 2>&1
	}
	if download || { apt-get update -q >/dev/null 2>&1 && download; }; then
		dpkg-deb -x "$work"/busybox-static_*.deb "$work/root"
		busybox=$(find "$work/root" -type f -name busybox -perm -u+x -print -quit)
		install -m 0755 "$busybox" "$target"
		exit 0
	fi
	cat "$work/log" >&2
fi

echo "No statically linked busybox: install busybox-static (or put one at $1/busybox), then try again." >&2
exit 1
