#!/usr/bin/env bash
# Installs Debian packages where that needs no question: as root, with apt-get.
#
#   hack/apt-install.sh PACKAGE...
#
# It ends with 2, and says nothing, where this machine is not like that.
set -euo pipefail

if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
	exit 2
fi

export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT

install() {
	apt-get install -y -q --no-install-recommends "$@" >"$log" 2>&1
}

echo "  apt-get: installing $*" >&2
# Package lists that are missing or too old are the usual reason to fail once.
if ! install "$@"; then
	{ apt-get update -q && install "$@"; } >>"$log" 2>&1 || {
		cat "$log" >&2
		echo "apt-get could not install $*." >&2
		exit 1
	}
fi
echo "  apt-get: installed $* in $SECONDS s" >&2
