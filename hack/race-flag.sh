#!/usr/bin/env bash
# Prints the flag by which Go tests detect data races, which needs a C compiler.
# Installs one where it may; else says so and prints nothing.
set -euo pipefail

hack=$(cd "$(dirname "$0")" && pwd)
compiler=$(go env CC)

if command -v "${compiler%% *}" >/dev/null || "$hack/apt-install.sh" gcc libc6-dev; then
	echo -race
else
	echo "No C compiler ($compiler): the tests run without the race detector." >&2
fi
