#!/usr/bin/env bash
# Prints the notes of a release: the section of CHANGELOG.md with its version.
#
#   hack/release-notes.sh v0.1.0
#
# It fails if CHANGELOG.md has no such section, or an empty one.
set -euo pipefail

cd "$(dirname "$0")/.."

notes=$(awk -v heading="## [${1#v}]" '
	/^## / || /^\[[^]]+\]: / { inside = (index($0, heading) == 1); next }
	inside { print }
' CHANGELOG.md)
if [[ -z ${notes//[[:space:]]/} ]]; then
	echo "release-notes: CHANGELOG.md has no section \"## [${1#v}]\"; rename \"Unreleased\" before you tag." >&2
	exit 1
fi
sed '/./,$!d' <<<"$notes"
