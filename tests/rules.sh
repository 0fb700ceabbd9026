#!/usr/bin/env bash
# rules.sh SLUICE: every rule of the library has a test, and they pass; so do
# the examples of docs/testing.md.
set -u
cd "$(dirname "$0")/.." || exit 2
sluice=$(realpath "${1:?which sluice?}")
export SLUICE_RULES=$PWD/rules
tmp=$(mktemp -d) || exit 2
trap 'rm -rf "$tmp"' EXIT
failed=0
complain() { echo "rules: $*"; failed=1; }

for rule in rules/*.lua; do
	test=rules/tests/$(basename "$rule" .lua)_test.lua
	# A module has no rules of its own, and is tested by who uses it.
	[ -f "$test" ] || ! grep -q '^rule' "$rule" ||
		complain "$rule has no $test"
done
"$sluice" test rules/tests >"$tmp/out" 2>&1 || {
	grep -v '^ok' "$tmp/out"
	complain "rules/tests: failed"
}
plan=$(sed -n 's/^1\.\.//p' "$tmp/out")

awk -v dir="$tmp" '
	/^```lua$/ { file = dir "/" NR "_test.lua"; next }
	/^```/ { file = ""; next }
	file { print > file }' docs/testing.md
ln -s "$PWD/rules" "$tmp/rules"
"$sluice" test "$tmp" >"$tmp/out" 2>&1 || {
	grep -v '^ok' "$tmp/out"
	complain "docs/testing.md: an example fails"
}
[ "$failed" = 0 ] &&
	echo "rules: $plan tests of the library, $(sed -n 's/^1\.\.//p' "$tmp/out") of the page"
exit $failed
