#!/usr/bin/env bash
# Runs every fuzz target of the module, one after the other.
#
#   hack/fuzz.sh TIME        as -fuzztime takes it: 10s, 10m
set -euo pipefail

cd "$(dirname "$0")/.."

targets=$(git grep --untracked -hoE --line-number '^func Fuzz[A-Za-z0-9_]+' -- '*_test.go' | wc -l)
done=0
while IFS=: read -r file function; do
	name=${function#func }
	package=./$(dirname "$file")
	done=$((done + 1))
	echo "  fuzz $done of $targets: $package $name for $1" >&2
	go test "$package" -run '^$' -fuzz "^$name\$" -fuzztime "$1" -fuzzminimizetime 2s
done < <(git grep --untracked -oE '^func Fuzz[A-Za-z0-9_]+' -- '*_test.go')
echo "fuzz: $done targets, no finding, $SECONDS s"
