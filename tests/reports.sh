#!/usr/bin/env bash
# reports.sh SLUICE: what test and check say, word by word. In tests/reports:
# *_test.lua with what "sluice test" prints (.tap), the other *.lua with what
# "sluice check" says on standard error (.check).
# UPDATE=1 writes the expectations anew: read the difference before it counts.
set -u
sluice=$(realpath "${1:?which sluice?}") || exit 2
cd "$(dirname "$0")/reports" || exit 2
tmp=$(mktemp -d) || exit 2
trap 'rm -rf "$tmp"' EXIT
failed=0 passed=0

complain() { echo "reports: $*"; failed=$((failed + 1)); }

same() {
	if [ -n "${UPDATE:-}" ]; then
		cp "$2" "$1"
	elif ! diff -u --label "$1" --label got "$1" "$2"; then
		failed=$((failed + 1))
		return
	fi
	passed=$((passed + 1))
}

for file in *_test.lua; do
	"$sluice" test "$file" >"$tmp/tap" 2>&1
	echo "status $?" >>"$tmp/tap"
	same "${file%.lua}.tap" "$tmp/tap"
done
for file in *.lua; do
	[[ $file == *_test.lua ]] && continue
	"$sluice" check "$file" >"$tmp/out" 2>"$tmp/check"
	echo "status $?" >>"$tmp/check"
	same "${file%.lua}.check" "$tmp/check"
	# The same for machines, each a line of JSON.
	"$sluice" check --json "$file" 2>/dev/null | grep '^{"warning"' >"$tmp/json"
	[ "$(wc -l <"$tmp/json")" = $(($(wc -l <"$tmp/check") - 1)) ] ||
		complain "check --json $file: other warnings than without"
	grep -qv '^{"warning":".*","file":"\('"$file"'\|[a-z./]*lib/[a-z]*\.lua\)","line":[1-9][0-9]*}$' \
		"$tmp/json" && complain "check --json $file: $(cat "$tmp/json")"
done

# says STATUS LINE ARGUMENT...: the one line on standard error is exact.
says() {
	local status=$1 line=$2 got said
	shift 2
	said=$("$sluice" test "$@" 2>&1 >"$tmp/out")
	got=$?
	if [ $got != "$status" ] || [ "$said" != "$line" ]; then
		complain "test $*: expected ($status) $line, got ($got) $said"
		return
	fi
	passed=$((passed + 1))
}

no="is no test in it; test(\"name\", function() ... end) is one"
says 2 "sluice: broken/none_test.lua: there $no" broken/none_test.lua
says 2 'sluice: broken/outside_test.lua:1: expect() belongs in a test("name", function() ... end)' broken/outside_test.lua
says 2 "sluice: broken/missing_test.lua:1: cannot read broken/none.lua: No such file or directory" broken/missing_test.lua
says 2 "sluice: broken/rule_test.lua:1: text:2: rule: action must be a function or a verdict, not the string 'DROP'; ACCEPT, DROP and REJECT are written without quotes" broken/rule_test.lua
says 2 'sluice: broken/own_test.lua: a test file has no rules of its own; load_rules("FILE.lua") or load_text("rule { ... }") puts rules to the test' broken/own_test.lua
says 2 "sluice: broken/twice_test.lua:2: test: there is a test named 'x' already" broken/twice_test.lua
says 2 "sluice: broken/syntax_test.lua:2: 'end' expected (to close 'function' at line 1) near <eof>" broken/syntax_test.lua
says 2 "sluice: cannot read gone_test.lua: No such file or directory" gone_test.lua
says 2 "sluice: test: there is no *_test.lua in $tmp" "$tmp"
says 1 "" failing_test.lua
# A file that does not load does not keep the others from being run.
"$sluice" test broken failing_test.lua >"$tmp/out" 2>/dev/null
[ $? = 2 ] || complain "a broken file among others: not status 2"
grep -q '^ok [0-9]* - failing_test.lua: and one that passes$' "$tmp/out" ||
	complain "a broken file keeps the others from being run"
(cd broken && "$sluice" test >"$tmp/out" 2>/dev/null)
[ "$(grep -c '^not ok' "$tmp/out")" = 7 ] ||
	complain "without a file: not every *_test.lua is run"
(cd "$tmp" && mkdir empty && cd empty && "$sluice" test >"$tmp/out" 2>&1)
[ $? = 2 ] || complain "no test file at all: not status 2"
"$sluice" test failing_test.lua >/dev/full 2>"$tmp/err"
[ $? = 1 ] || complain "a full disk: not status 1"

echo "reports: $passed held, $failed failed"
[ $failed = 0 ]
