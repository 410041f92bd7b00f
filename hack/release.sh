#!/usr/bin/env bash
# Makes a release in a folder: pushes the images, and writes what installs them by digest.
#
#   VERSION=v0.1.0 KO_DOCKER_REPO=REGISTRY/imagecache hack/release.sh FOLDER
#
# FOLDER then has install.yaml (config/default), the Helm chart, the SBOMs, images.txt and SHA256SUMS.
set -euo pipefail

cd "$(dirname "$0")/.."

if [[ ! ${VERSION:-} =~ ^v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$ ]]; then
	echo "release: VERSION is \"${VERSION:-}\"; set it to a version such as v0.1.0." >&2
	exit 2
fi
if [[ -z ${KO_DOCKER_REPO:-} ]]; then
	echo "release: KO_DOCKER_REPO is not set; set it to where the images are pushed, such as REGISTRY/imagecache." >&2
	exit 2
fi

rm -rf "$1"
mkdir -p "$1"
dist=$(cd "$1" && pwd)
hack/images.sh "$dist" >/dev/null

# The references by digest: REPOSITORY:TAG@DIGEST or REPOSITORY@DIGEST.
reference=$(grep -E '/manager[:@]' "$dist/images.txt")
digest=${reference##*@}
repository=$KO_DOCKER_REPO/manager

bin/kustomize build config/default >"$dist/install.yaml"
sed -i "s|ko://imagecache.dev/cmd/manager|$repository@$digest|" "$dist/install.yaml"
if ! grep -qF "$repository@$digest" "$dist/install.yaml"; then
	echo "release: config/default has no reference to replace by $repository@$digest." >&2
	exit 1
fi

chart=$(mktemp -d)
trap 'rm -rf "$chart"' EXIT
cp -R charts/devcontainer-image-cache "$chart/"
sed -i -e "s|^  repository: \"\"$|  repository: $repository|" -e "s|^  digest: \"\"$|  digest: $digest|" \
	"$chart/devcontainer-image-cache/values.yaml"
# The dashboard's image, where IMAGES did not leave it out.
dashboard=$(grep -E '/imagecache[:@]' "$dist/images.txt" || true)
if [[ -n $dashboard ]]; then
	sed -i -e "s|^    repository: \"\"$|    repository: $KO_DOCKER_REPO/imagecache|" \
		-e "s|^    digest: \"\"$|    digest: ${dashboard##*@}|" "$chart/devcontainer-image-cache/values.yaml"
fi
bin/helm lint --quiet "$chart/devcontainer-image-cache"
bin/helm package "$chart/devcontainer-image-cache" --version "${VERSION#v}" --app-version "${VERSION#v}" \
	--destination "$dist" >/dev/null

(cd "$dist" && find . -type f ! -name SHA256SUMS -printf '%P\0' | sort -z | xargs -0 sha256sum >SHA256SUMS)
echo "release $VERSION in $1:"
(cd "$dist" && find . -type f -printf '  %P\n' | sort)
