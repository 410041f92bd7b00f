#!/usr/bin/env bash
# Puts prometheus and promtool, by which alert rules and metrics are checked,
# into a folder: those on PATH, or those of Debian's package.
#
#   hack/prometheus.sh FOLDER
set -euo pipefail

hack=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"

for program in prometheus promtool; do
	if command -v "$program" >/dev/null || [[ -x $1/$program ]]; then
		continue
	fi
	"$hack/debian-program.sh" prometheus "$program" "$1" || {
		echo "No $program: install prometheus, then try again." >&2
		exit 1
	}
done
