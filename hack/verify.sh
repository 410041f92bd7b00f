#!/usr/bin/env bash
# Regenerates and formats everything, and fails when that changed or added a file.
#
# What is compared is the tree before and after, so it works with changes that
# are not committed yet. Files that git ignores don't count.
set -euo pipefail

cd "$(dirname "$0")/.."

# snapshot prints a digest of every file; a file that was removed has none.
snapshot() {
	git ls-files --cached --others --exclude-standard -z | sort -z | xargs -0 sha256sum 2>/dev/null || true
}

before=$(mktemp)
after=$(mktemp)
trap 'rm -f "$before" "$after"' EXIT

failed=0
fail() {
	echo "verify: $*" >&2
	failed=1
}

snapshot >"$before"
make --no-print-directory generate docs fmt
snapshot >"$after"
changed=$(diff "$before" "$after" | awk '/^[<>]/ { print "  " $3 }' | sort -u || true)
if [[ -n $changed ]]; then
	fail "these files were not as \"make generate docs fmt\" makes them (now they are: commit them):"
	echo "$changed" >&2
fi

while IFS= read -r module; do
	(cd "$(dirname "$module")" && go mod tidy -diff) || fail "$module is not tidy: run \"go mod tidy\" there"
done < <(git ls-files --cached --others --exclude-standard 'go.mod' '*/go.mod')

# Dependabot is told of every Go module and npm tree by its folder.
while IFS= read -r file; do
	folder=/$(dirname "$file")
	grep -qx "    directory: ${folder/%\/./\/}" .github/dependabot.yml || fail ".github/dependabot.yml has no entry for $file"
done < <(git ls-files --cached --others --exclude-standard 'go.mod' '*/go.mod' 'package.json' '*/package.json')

for folder in config/default config/prometheus config/grafana; do
	bin/kustomize build "$folder" >/dev/null || fail "$folder can't be rendered"
done

go run ./hack/links || fail "the lines above name links and paths that lead nowhere"

go vet ./... || fail "go vet found something"
make --no-print-directory lint || fail "the linters found something"

if ((failed)); then
	exit 1
fi
echo "verify: everything is as it is generated, tidy and clean."
