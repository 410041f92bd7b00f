#!/usr/bin/env bash
# Provides the Docker Engines that tests start, in a folder. Nothing is installed on the machine.
#
#   hack/engines.sh FOLDER PART...
#
# PART       FOLDER then has                                        from
# client     docker, cli-plugins/docker-buildx                      their Go modules (hack/tools/docker)
# compose    cli-plugins/docker-compose                             its Go module (hack/tools/compose)
# containerd containerd/: containerd, its shim, runc                Debian's packages
# docker20   docker20/: dockerd and docker of Debian's release      Debian's package docker.io, 20.10 in Debian 12
# docker28   docker28/dockerd                                       its Go module (hack/tools/docker28)
# docker29   docker29/: dockerd, runc                               their Go modules (hack/tools/docker29)
#
# Each part takes minutes once at most. A stamp then holds the part's pinned versions, and nothing is done while it fits.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
engines=$(mkdir -p "$1" && cd "$1" && pwd)
shift
mkdir -p "$engines/.stamps"

# version prints the pinned version of a module: version TOOL_MODULE MODULE.
version() {
	(cd "$root/hack/tools/$1" && go list -m -f '{{.Version}}' "$2")
}

# build NAME TOOL_MODULE OUTPUT PACKAGE LDFLAGS [go build arguments]
build() {
	local name=$1 module=$2 output=$3 package=$4 flags=$5
	shift 5
	"$root/hack/go-build.sh" "$name" "$root/hack/tools/$module" -trimpath -ldflags "-s -w $flags" "$@" \
		-o "$output" "$package"
}

# unpack FOLDER PACKAGE... puts the programs and libraries of Debian packages into one folder.
unpack() {
	local folder=$1 packages
	shift
	echo "  Debian packages: $*" >&2
	packages=$(mktemp -d)
	"$root/hack/debian-unpack.sh" "$packages" "$@" || {
		echo "Debian's packages $* are not available: engines are provided on Debian 12 only." >&2
		rm -rf "$packages"
		return 1
	}
	rm -rf "$folder"
	mkdir -p "$folder"
	find "$packages" -path '*bin/*' -type f -perm -u+x -exec mv -t "$folder" {} +
	find "$packages" -name '*.so.*' -exec mv -t "$folder" {} +
	rm -rf "$packages"
}

client() {
	local buildx cli
	buildx=$(version docker github.com/docker/buildx)
	cli=$(version docker github.com/docker/cli)
	export CGO_ENABLED=0
	# The release has no go.mod, so that the compiler would take its language for an old one.
	build "docker $cli" docker "$engines/docker" github.com/docker/cli/cmd/docker \
		"-X github.com/docker/cli/cli/version.Version=${cli%+incompatible}" \
		-gcflags github.com/docker/cli/cmd/docker=-lang=go1.26
	build "buildx $buildx" docker "$engines/cli-plugins/docker-buildx" github.com/docker/buildx/cmd/buildx \
		"-X github.com/docker/buildx/version.Version=$buildx"
}

compose() {
	local compose
	compose=$(version compose github.com/docker/compose/v2)
	CGO_ENABLED=0 build "compose $compose" compose "$engines/cli-plugins/docker-compose" \
		github.com/docker/compose/v2/cmd "-X github.com/docker/compose/v2/internal.Version=$compose"
}

containerd() {
	unpack "$engines/containerd" containerd runc libseccomp2
}

docker20() {
	unpack "$engines/docker20" docker.io libdevmapper1.02.1
	local found
	found=$(LD_LIBRARY_PATH=$engines/docker20 "$engines/docker20/dockerd" --version)
	if [[ $found != *" 20.10."* ]]; then
		echo "docker20: Debian's docker.io is \"$found\"; Docker 20.10 is in Debian 12." >&2
		return 1
	fi
}

docker28() {
	local docker
	docker=$(version docker28 github.com/docker/docker)
	docker=${docker#v}
	export CGO_ENABLED=0
	build "dockerd ${docker%+incompatible}" docker28 "$engines/docker28/dockerd" \
		github.com/docker/docker/cmd/dockerd \
		"-X github.com/docker/docker/dockerversion.Version=${docker%+incompatible}" \
		-tags 'netgo exclude_graphdriver_btrfs no_systemd'
}

docker29() {
	local moby runc
	moby=$(version docker29 github.com/moby/moby/v2)
	runc=$(version docker29 github.com/opencontainers/runc)
	CGO_ENABLED=0 build "dockerd 29 ($moby)" docker29 "$engines/docker29/dockerd" \
		github.com/moby/moby/v2/cmd/dockerd "-X github.com/moby/moby/v2/dockerversion.Version=29.0.0-$moby" \
		-tags 'netgo no_systemd'
	# Containers enter their namespaces in C. Without the tag seccomp no library is needed.
	CGO_ENABLED=1 build "runc $runc" docker29 "$engines/docker29/runc" github.com/opencontainers/runc \
		"-X main.version=${runc#v}"
}

# pinned prints what a part is made of.
pinned() {
	case $1 in
	client) cat "$root"/hack/tools/docker/go.* ;;
	compose | docker28 | docker29) cat "$root/hack/tools/$1"/go.* ;;
	containerd | docker20) cat "$root/hack/debian-unpack.sh" ;;
	*) return 1 ;;
	esac
	declare -f build unpack "$1"
}

for part in "$@"; do
	stamp=$engines/.stamps/$part
	wanted=$(pinned "$part" | sha256sum) || {
		echo "engines: \"$part\" is none of client, compose, containerd, docker20, docker28 and docker29." >&2
		exit 2
	}
	if [[ $(cat "$stamp" 2>/dev/null) != "$wanted" ]]; then
		rm -f "$stamp"
		("$part")
		echo "$wanted" >"$stamp"
	fi
done
