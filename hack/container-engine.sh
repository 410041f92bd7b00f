#!/usr/bin/env bash
# Makes sure that there is a container engine: docker with a running engine, or
# podman with an OCI runtime. Prints which one, "docker" or "podman", to stdout.
#
# Where there is none it installs podman and runc, if it may.
set -euo pipefail

hack=$(cd "$(dirname "$0")" && pwd)

# A docker client alone builds nothing.
docker_runs() {
	command -v docker >/dev/null && timeout 10 docker version --format '{{.Server.Version}}' >/dev/null 2>&1
}

podman_runs() {
	command -v podman >/dev/null && { command -v runc || command -v crun; } >/dev/null
}

if docker_runs; then
	echo docker
	exit 0
fi
if ! podman_runs; then
	"$hack/apt-install.sh" podman runc || {
		echo "No container engine: install podman and runc, or start docker, then try again." >&2
		exit 1
	}
fi
echo podman
