#!/usr/bin/env bash
# Copies what the pages of imagecache dashboard load from its pinned npm packages into the folder that the program embeds.
# Nothing is edited there: "make verify" copies again, and fails on a difference.
set -euo pipefail

cd "$(dirname "$0")/.."

hack/npm-install.sh dashboard
from=hack/tools/dashboard/node_modules
to=internal/dashboard/asset/vendor
rm -rf "$to"
mkdir -p "$to"
cp "$from/htmx.org/dist/htmx.min.js" "$from/htmx-ext-sse/dist/sse.min.js" "$from/uplot/dist/uPlot.iife.min.js" \
	"$from/uplot/dist/uPlot.min.css" "$to/"
# Each licence goes with its copy.
for name in htmx.org htmx-ext-sse uplot; do
	cp "$from/$name/LICENSE" "$to/LICENSE.$name"
done
chmod 0644 "$to"/*
