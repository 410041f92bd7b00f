#!/usr/bin/env bash
# Copies what the Helm chart shares with config/ into the chart: CRDs, RBAC, admission policies, Prometheus' objects.
# The chart's templates render the copies; nothing is edited there.
set -euo pipefail

cd "$(dirname "$0")/.."

files=charts/devcontainer-image-cache/files
rm -rf "$files"
for folder in crd rbac admission prometheus; do
	mkdir -p "$files/$folder"
	for file in config/"$folder"/*.yaml; do
		[[ $file == */kustomization.yaml ]] || cp "$file" "$files/$folder/"
	done
done
