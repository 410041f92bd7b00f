#!/usr/bin/env bash
# Runs parts of the tests as one run with one summary, which is printed last.
#
#   hack/test.sh PART...     a part is unit, envtest, e2e, engine or machines
#
# TEST_FLAGS holds more flags for "go test" (-run, -v) and PKG the packages of the unit
# tests; the Makefile sets PATH and KUBEBUILDER_ASSETS to the programs that the tests
# use. RACE_FLAG is the flag that detects data races. What builds, saves and pulls takes
# three to nine times as long with it, so those packages get it only where
# IMAGECACHE_LONG is set, and in the parts engine and machines.
set -euo pipefail

cd "$(dirname "$0")/.."

part_packages() {
	case $1 in
	unit) go list "${PKG:-./...}" | grep -v -e /test/envtest -e /test/e2e ;;
	# With IMAGECACHE_ENGINES these packages build, publish, pull and end early with each engine.
	engine) printf 'imagecache.dev/%s\n' internal/runner cmd/imagecache test/engine internal/builder ;;
	machines) go list ./test/e2e ;;
	*) go list "./test/$1/..." ;;
	esac
}

# with_engines prints those of some packages whose tests drive engines.
with_engines() {
	go list -f '{{join .TestImports " "}} {{join .XTestImports " "}} {{.ImportPath}}' "$@" |
		grep -E '/test/(engine|enginetest) ' | awk '{ print $NF }'
}

# envtests writes the events of the tests against a kube-apiserver. They wait more than they compute, so half of those of
# test/envtest run beside the other half and the other packages. A test that neither half names runs in both.
envtests() {
	local names odd even others later half status=0
	later=$(mktemp)
	names=$(sed -nE 's/^func (Test[A-Za-z0-9_]+)\(t .*/\1/p' test/envtest/*_test.go)
	odd=$(awk 'NR % 2' <<<"$names" | paste -sd '|')
	even=$(awk 'NR % 2 == 0' <<<"$names" | paste -sd '|')
	go test -json -skip "^($odd)\$" "$@" ./test/envtest >"$later" &
	half=$!
	go test -json -skip "^($even)\$" "$@" ./test/envtest || status=1
	# On their own, because their tests may have names of those.
	mapfile -t others < <(go list ./test/envtest/... | grep -v '/test/envtest$')
	go test -json "$@" "${others[@]}" || status=1
	wait "$half" || status=1
	cat "$later"
	rm -f "$later"
	return "$status"
}

# test_part writes the events of one part, for gotestsum to read.
test_part() {
	local list packages flags race slow=() status=0
	read -ra flags <<<"${TEST_FLAGS:-}"
	read -ra race <<<"${RACE_FLAG:-}"
	list=$(part_packages "$1") || {
		echo "no packages to test in $1" >&2
		return 1
	}
	mapfile -t packages <<<"$list"
	# Whole flows: each package has the machine to itself, and no result is an old one.
	local whole=(-timeout 20m -count=1 -p 1)
	case $1 in
	unit)
		whole=(-timeout 20m)
		if [[ -z ${IMAGECACHE_LONG:-} ]]; then
			mapfile -t slow < <(with_engines "${packages[@]}")
			mapfile -t packages < <(printf '%s\n' "${packages[@]}" | grep -v -x -F -f <(printf '%s\n' "${slow[@]}"))
		fi
		;;
	engine) whole+=(-timeout 60m) ;;
	envtest)
		envtests "${whole[@]}" "${race[@]}" "${flags[@]}"
		return
		;;
	e2e) [[ -n ${IMAGECACHE_LONG:-} ]] || race=() ;;
	machines)
		# An environment's whole way, with each engine on its machine.
		for machine in docker-20.10 docker-20.10-buildx docker-28-overlay2 docker-28-containerd docker-29 podman; do
			IMAGECACHE_MACHINE=$machine go test -json "${whole[@]}" "${race[@]}" "${flags[@]}" \
				-run 'BuiltOnce|LocalFeature|DevcontainerUp|Interrupted' "${packages[@]}" || status=1
		done
		return "$status"
		;;
	esac
	if ((${#packages[@]})); then
		go test -json "${whole[@]}" "${race[@]}" "${flags[@]}" "${packages[@]}" || status=1
	fi
	if ((${#slow[@]})); then
		go test -json "${whole[@]}" "${flags[@]}" "${slow[@]}" || status=1
	fi
	return "$status"
}

# heartbeat says every 30 s what is running, because a package may take minutes.
heartbeat() {
	local never
	exec {never}<> <(:) # to wait on without a process that outlives us
	while true; do
		read -r -t 30 -u "$never" || true
		echo "  ... $(cat "$1"), $SECONDS s" >&2
	done
}

if [[ $1 == --events ]]; then
	status=0
	for part in "${@:2}"; do
		echo "running $part tests" >bin/test-part
		test_part "$part" || status=1
		# What was tried against the cache, one line an attack. Descriptor 3 is the terminal.
		if [[ $part == envtest && -s $IMAGECACHE_ATTACKS ]]; then
			cat "$IMAGECACHE_ATTACKS" >&3
		fi
	done
	exit $status
fi

mkdir -p bin
export IMAGECACHE_ATTACKS=$PWD/bin/attacks.txt
rm -f "$IMAGECACHE_ATTACKS"
exec 3>&2
echo "starting" >bin/test-part
heartbeat bin/test-part &
heart=$!
trap 'kill "$heart" 2>/dev/null || true' EXIT

status=0
bin/gotestsum --format pkgname-and-test-fails --format-hide-empty-pkg --format-icons text \
	--hide-summary skipped,output --junitfile bin/tests.xml \
	--raw-command -- "$0" --events "$@" || status=$?
exit $status
