#!/usr/bin/env bash
# Makes sure that there are a browser and what drives it in the tests of imagecache dashboard. Where the machine has no
# browser, it installs Debian's chromium, if it may.
#
#   hack/browser.sh
set -euo pipefail

hack=$(cd "$(dirname "$0")" && pwd)

# has reports whether there is a browser that tests can drive; test/browser/program.go looks for the same.
has() {
	local name path
	for name in chromium google-chrome-stable google-chrome; do
		path=$(command -v "$name") || continue
		[[ $(basename "$(readlink -f "$path")") == snap ]] || return 0
	done
	return 1
}

"$hack/npm-install.sh" browser
has && exit 0
# Ubuntu's package chromium is a snap, or none.
if ! grep -qx 'ID=ubuntu' /etc/os-release 2>/dev/null && "$hack/apt-install.sh" chromium && has; then
	exit 0
fi
cat >&2 <<-'END'
	No browser for the tests of imagecache dashboard. Install one as root, then try again:
	  Debian: apt-get install chromium
	  Ubuntu: google-chrome-stable, from https://www.google.com/chrome/ (Ubuntu's chromium is a snap, which tests can't drive)
END
exit 1
