#!/usr/bin/env bash
# Runs "go build" in a module and shows how far it is.
#
#   hack/go-build.sh NAME MODULE_DIR [go build arguments]
#
# NAME is what the progress lines call the build. A build that takes longer says
# every ten seconds how many modules were downloaded and how many packages compiled.
# What the compiler complains about passes through.
set -euo pipefail

name=$1
cd "$2"
shift 2

progress() {
	local line status downloaded=0 compiled=0 last=$SECONDS
	while true; do
		status=0
		IFS= read -r -t 1 line || status=$?
		if ((status > 128)); then # nothing within the second
			:
		elif ((status > 0)); then
			return
		elif [[ $line == "go: downloading "* ]]; then
			downloaded=$((downloaded + 1))
		elif [[ $line =~ ^[A-Za-z0-9_.~/-]+$ ]]; then
			compiled=$((compiled + 1))
		else
			printf '%s\n' "$line"
		fi
		if ((SECONDS - last >= 10)); then
			last=$SECONDS
			echo "  $name: $downloaded modules downloaded, $compiled packages compiled, $SECONDS s"
		fi
	done
}

go build -v "$@" 2>&1 | progress >&2
if ((SECONDS >= 2)); then
	echo "  $name: built in $SECONDS s" >&2
fi
