#!/usr/bin/env bash
# Runs every fuzz target of the module, one after the other.
#
#   hack/fuzz.sh TIME        as -fuzztime takes it: 10s, 10m
set -euo pipefail

cd "$(dirname "$0")/.."

# fuzz runs one target. When the time is up while a worker is busy, "go test" may report its own deadline as a failure,
# without an input: https://github.com/golang/go/issues/75804. That is the end of the time and no finding.
fuzz() {
	local output
	output=$(mktemp)
	if go test "$1" -run '^$' -fuzz "^$2\$" -fuzztime "$3" -fuzzminimizetime 2s 2>&1 | tee "$output"; then
		rm "$output"
		return
	fi
	local ended=1
	if grep -q '^ *context deadline exceeded$' "$output" && ! grep -q 'Failing input written' "$output"; then
		echo "  $2: the time was up while a worker was busy; no finding" >&2
		ended=0
	fi
	rm "$output"
	return "$ended"
}

targets=$(git grep --untracked -hoE --line-number '^func Fuzz[A-Za-z0-9_]+' -- '*_test.go' | wc -l)
done=0
while IFS=: read -r file function; do
	name=${function#func }
	package=./$(dirname "$file")
	done=$((done + 1))
	echo "  fuzz $done of $targets: $package $name for $1" >&2
	fuzz "$package" "$name" "$1"
done < <(git grep --untracked -oE '^func Fuzz[A-Za-z0-9_]+' -- '*_test.go')
echo "fuzz: $done targets, no finding, $SECONDS s"
