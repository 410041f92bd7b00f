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
arguments=(--base-import-paths --sbom=spdx --sbom-dir="$dist/sbom" --tags="${version:-latest}")
if [[ -n ${KO_DOCKER_REPO:-} ]]; then
	arguments+=(--image-refs="$dist/images.txt")
else
	export KO_DOCKER_REPO=imagecache.local
	arguments+=(--push=false --oci-layout-path="$dist/images")
fi
mkdir -p "$dist/sbom"
bin/ko build "${arguments[@]}" "${programs[@]/#/./cmd/}"
