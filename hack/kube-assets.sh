#!/usr/bin/env bash
# Builds kube-apiserver, etcd and kubectl from their Go modules into a folder.
#
#   hack/kube-assets.sh FOLDER
#
# It takes some minutes once. The folder then carries a stamp of the pinned
# versions and of this script, and nothing is built again while the stamp fits.
# A user who has the programs sets KUBEBUILDER_ASSETS instead.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
module=$root/hack/tools/kube
mkdir -p "$1"
assets=$(cd "$1" && pwd)
stamp=$assets/.stamp

wanted=$(cat "$module/go.mod" "$module/go.sum" "$0" | sha256sum | cut -d ' ' -f 1)
programs_present() {
	[[ -x $assets/etcd && -x $assets/kube-apiserver && -x $assets/kubectl ]]
}
if programs_present && [[ $(cat "$stamp" 2>/dev/null) == "$wanted" ]]; then
	exit 0
fi
rm -f "$stamp"

version=$(cd "$module" && go list -m -f '{{.Version}}' k8s.io/kubernetes)
IFS=. read -r major minor _ <<<"${version#v}"
component=k8s.io/component-base/version
flags="-s -w -X $component.gitVersion=$version -X $component.gitMajor=$major -X $component.gitMinor=$minor"

export CGO_ENABLED=0
start=$(date +%s)
echo "Building kube-apiserver $version, kubectl and etcd from source, once: 5 to 6 minutes on 2 cores." >&2
"$root/hack/go-build.sh" etcd "$module" -trimpath -ldflags '-s -w' -o "$assets/etcd" go.etcd.io/etcd/server/v3
"$root/hack/go-build.sh" kubernetes "$module" -trimpath -ldflags "$flags" -o "$assets/" \
	k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kubectl
echo "$wanted" >"$stamp"
echo "Built kube-apiserver, kubectl and etcd in $(($(date +%s) - start)) s." >&2
