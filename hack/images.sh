#!/usr/bin/env bash
# Builds the images of manager, imagecache and aws-emulator for linux/amd64 and linux/arm64, with an SBOM (SPDX) each.
#
#   hack/images.sh FOLDER
#
# With KO_DOCKER_REPO they are pushed there, as KO_DOCKER_REPO/manager and so on, and FOLDER/images.txt lists their
# references; without, they go into FOLDER/images, an OCI image layout. The SBOMs are in FOLDER/sbom either way.
#
# IMAGES names the programs to build, all three unless told. VERSION is what they say of themselves, and the images' tag.
# KO_DEFAULTBASEIMAGE is the base image (.ko.yaml).
set -euo pipefail

cd "$(dirname "$0")/.."
mkdir -p "$1"
dist=$(cd "$1" && pwd)
version=${VERSION:-}
read -ra programs <<<"${IMAGES:-manager imagecache aws-emulator}"

export LDFLAGS=
if [[ -n $version ]]; then
	LDFLAGS="-X imagecache.dev/internal/buildinfo.version=$version"
fi

rm -rf "$dist/sbom" "$dist/images" "$dist/images.txt"
mkdir -p "$dist/sbom" bin
arguments=(--base-import-paths --sbom=spdx --sbom-dir="$dist/sbom" --tags="${version:-latest}")
if [[ -n ${KO_DOCKER_REPO:-} ]]; then
	bin/ko build "${arguments[@]}" "${programs[@]/#/./cmd/}" >"$dist/images.txt"
	cat "$dist/images.txt"
else
	# ko takes the layout's path for a repository's name, so it has to be in lower case.
	layout=bin/ko-layout.$$
	trap 'rm -rf "$layout"' EXIT
	KO_DOCKER_REPO=imagecache.local bin/ko build "${arguments[@]}" --push=false --oci-layout-path="$layout" \
		"${programs[@]/#/./cmd/}" >/dev/null
	mv "$layout" "$dist/images"
	echo "$dist/images"
fi
