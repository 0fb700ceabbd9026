#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What is written for people is true: every Lua example loads, runs over
# packets of many kinds and raises no error, or is refused with the words
# that stand beside it; the man page and --help name the same commands and
# options; no rule of the library and no key of the language is left out.
#
# usage: docs.sh PATH-OF-SLUICE, from the top of the sources
set -u
sluice=$1
export SLUICE_RULES=$PWD/rules
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0
examples=0

fail() {
	echo "docs: $*" >&2
	failed=1
}

# Echoes, DNS, SYNs with and without options, a request, ICMP errors, fragments,
# GRE, and what is no IPv4: a capture of raw IP packets.
base64 -d <<'END' | gzip -d >"$dir/in.pcap"
H4sIAAAAAAACA42UzWsTURTFz3yk+WhjElxUMdBpDJgWbazSLkKVaWWsbkqKWbjpIk2mSSDJDGlK
qqv6BVUxaxGRxD9ARLrQhSAURBBBUHDrRsjGhSBVN8Z33+uMOlRw4HIC837n3Lx7k/fbT7oyVDhP
vw+Y9OHLBS6ju2WQSIAu7Xx4AVlmJQWwNQ4ZUtmsVi0CeooHkAl49I6AEOBjQAoKZBd46wdOQZRB
wgz02M7absJUpIMpjI0ehZ9FS6JDpdVq+c31fM2umkrBqtELicyeDgIzEGWQqDr0gYVLZPbyZDF4
X0eWvSqSSUfW8OA1IKu+LVUOsOaEvaQofvLqRIBFiDJIfKyxgXbB40VXJGUPaEj+AOaNnJbWzuVy
2fTkxGQ4NFsomHbzmFEvWMVKvZTRSpcrdjgUDlHA5n4gBVEGyQAPuO0GzOKgM5Msa9Z/XszEHvZw
fs7dcrm5Ef1PrqcJ7uIhDxfg3E2XO4NhlxtjeQnB6SMeLsi5zT05lXHzgksdBpIQZZCEaLLtDYeT
vsoyovlM1Spp1UrdJCZ6BKB2NcFoGOTMNYeJdNm3HZqOm4Uy357v4551G2LTiL258vv81XsIz1y3
G9YyD/g44dmQMO1ne40OE6Son2y2YD0eHuThN/4V/uqEx2sf92o6Xj4pucT05/94PZ4GjkOUQRLh
5y3HC/RDiC98Xt/jIf5uBqB5JQSfQBTP9NidbSevmm+aDW2lkS/VzHqTiI3TALs9XgZJTGOJ9VW3
w4eRjtLrP1+pNFabf5HlOYDtEi+DhC2ynm4vOyQtQqnBrzt7FohD1CIJ//9od52jAXzr0/FfOa6e
aoQEAAA=
END
printf '203.0.113.0/24\n!203.0.113.9 # an exception\n' >"$dir/blocked.txt"

# Cuts a page into its Lua blocks: N.lua for those that load, N.refused for
# those that do not.
cut_blocks() {
	rm -f "$dir"/*.lua "$dir"/*.refused
	awk -v dir="$dir" '
		/^```lua refused$/ { file = dir "/" NR ".refused"; next }
		/^```lua$/ { file = dir "/" NR ".lua"; next }
		/^```/ { file = ""; next }
		file { print > file }' "$1"
}

runs() {
	local out

	out=$("$sluice" check "$2" 2>&1 >/dev/null) ||
		fail "$1: does not load: $out"
	out=$("$sluice" replay --local 192.0.2.2 "$2" - <"$dir/in.pcap" 2>&1)
	[ $? = 0 ] || fail "$1: replay failed: $out"
	case $out in
	*" 0 errors in rules"*) ;;
	*) fail "$1: $(grep '^sluice: rule .*\.lua:[0-9]*: ' <<<"$out")" ;;
	esac
}

refused() {
	local want out status

	want=$(sed -n 's/^--> //p' "$2")
	[ -n "$want" ] || fail "$1: a refused block without '--> message'"
	cp "$2" "$dir/refused.lua"
	out=$("$sluice" check "$dir/refused.lua" 2>&1 >/dev/null)
	status=$?
	[ $status = 2 ] || fail "$1: is not refused (status $status)"
	[[ $out == *"$want"* ]] || fail "$1: says '$out', not '$want'"
	rm "$dir/refused.lua"
}

for page in README.md docs/rules.md docs/coming-from.md; do
	[ -f "$page" ] || fail "$page is missing"
	cut_blocks "$page"
	for block in "$dir"/*.lua "$dir"/*.refused; do
		[ -f "$block" ] || continue
		line=$(basename "${block%.*}")
		examples=$((examples + 1))
		case $block in
		*.lua) runs "$page:$line" "$block" ;;
		*) refused "$page:$line" "$block" ;;
		esac
	done
done

# What stands at the right of the tables for newcomers: conditions and rewrites
# load, and the rest is Lua.
sed -n 's/ |$//; s/^|.*[^\\]| //p' docs/coming-from.md | grep -o '`[^`]*`' | tr -d '`' |
	awk '/^(match|rewrite|where) = / {
			print "rule { " $0 ", action = ACCEPT }"; next }
		/^[a-z_]+ = / && !/^(udp|s) = / {
			print "rule { match = { " $0 " }, action = ACCEPT }"; next }
		/^(pkt|packet|return|send|sr1|reject|log|audit)[.: ({]/ {
			gsub(/…/, "")
			print "local function f(pkt, p, x, raw, copy) " \
				(/^return|^pkt[^{]* = / ? "" : "return ") $0 " end" }' >"$dir/cells.lua"
[ "$(wc -l <"$dir/cells.lua")" -ge 40 ] ||
	fail "docs/coming-from.md: few examples in its tables"
"$sluice" check "$dir/cells.lua" >/dev/null 2>"$dir/err" ||
	fail "docs/coming-from.md, a table: $(cat "$dir/err")"
[ $examples -ge 30 ] || fail "only $examples examples found"

# ---- the man page --------------------------------------------------------

if command -v mandoc >/dev/null; then
	for man in docs/sluice.8 docs/sluice-rules.5; do
		# Which other pages this machine has says nothing about this one.
		mandoc -Tlint "$man" 2>/dev/null |
			grep -v 'referenced manual not found' >"$dir/lint"
		[ -s "$dir/lint" ] && fail "$man: $(cat "$dir/lint")"
	done
else
	fail "mandoc is not installed"
fi
man=docs/sluice.8

"$sluice" --help | sed -n 's/^  \([a-z]\{1,\}\)  .*/\1/p' | sort >"$dir/commands"
sed -n 's/^\.It Cm \([a-z]*\).*/\1/p' "$man" | sort -u >"$dir/man-commands"
[ -s "$dir/commands" ] || fail "--help lists no command"
diff "$dir/commands" "$dir/man-commands" >"$dir/diff" ||
	fail "commands of --help (<) and $man (>): $(cat "$dir/diff")"

# A line of a command's help is "  -w, --write FILE   what it does".
{
	while read -r command; do
		"$sluice" "$command" --help 2>/dev/null
	done <"$dir/commands" |
		sed -n 's/^  \(-[a-z], \)\{0,1\}--\([a-z-]*\).*/\2/p'
	"$sluice" --help | sed -n 's/^  sluice .*--\([a-z]\{1,\}\).*/\1/p'
} | sort -u >"$dir/options"
grep -o '^\.It .*Fl -[a-z][a-z-]*' "$man" | sed 's/.*Fl -//' |
	sort -u >"$dir/man-options"
[ -s "$dir/options" ] || fail "--help lists no option"
diff "$dir/options" "$dir/man-options" >"$dir/diff" ||
	fail "options of --help (<) and $man (>): $(cat "$dir/diff")"

# ---- nothing is left out -------------------------------------------------

for rule in rules/*.lua; do
	grep -q "\`$(basename "$rule")\`" docs/rules.md ||
		fail "docs/rules.md does not name $rule"
	grep -q "\`$(basename "$rule" .lua)\`\|\`$(basename "$rule")\`" \
		README.md || fail "README.md does not name $rule"
done

# The program lists all keys itself when it is given one like none of them.
keys_of() {
	echo "rule { $1 = { zzzzzzzzzz = 1 }, action = DROP }" >"$dir/k.lua"
	"$sluice" check "$dir/k.lua" 2>&1 | sed 's/.*there are //; s/,//g'
}
for table in match rewrite; do
	keys=$(keys_of $table)
	[ "$(wc -w <<<"$keys")" -ge 10 ] || fail "keys of $table: '$keys'"
	# Its chapter's tables; what is refused is listed in the last one.
	awk -v h="## $table" '/^## / { on = $0 == h || /Not in this/ }
		on && /^[|-] /' docs/rules.md >"$dir/entries"
	for key in $keys; do
		grep -q "\`$key\`" "$dir/entries" ||
			fail "docs/rules.md, $table: no entry for '$key'"
	done
done

# ---- the reference of the language ----------------------------------------

man=docs/sluice-rules.5
# same CHAPTER... : the entries of these chapters of the page are the names on
# standard input, no more and no fewer.
same() {
	tr -s ' ' '\n' | sort -u >"$dir/names"
	for chapter; do
		awk -v at=".Ss $chapter" '/^\.S[sh] / { on = $0 == at }
			on && /^\.It / { print $3 }' "$man"
	done | sort -u >"$dir/entries"
	[ -s "$dir/names" ] || fail "$man, $1: nothing to compare with"
	diff "$dir/names" "$dir/entries" >"$dir/diff" ||
		fail "$man, $*: of the language (<), of the page (>):" \
			"$(cat "$dir/diff")"
}
keys_of match | same "Match keys"
keys_of rewrite | same "Rewrite keys"

# Fields: of a layer those of the table of fields and those beyond it.
object=src/script/object
for layer in ip tcp udp icmp; do
	sed -n "s/.*{\"\([a-z_]*\)\", \(LAYER_\)\{0,1\}${layer^^}[,}].*/\1/p" \
		src/packet/field.c ${object}_fields.c | same "Fields of $layer"
done
{
	sed -n 's/.*{"\([a-z_]*\)", -1}.*/\1/p' ${object}_fields.c
	echo ip tcp udp icmp src dst
} | same "Fields of a packet"

# functions_of FILE...: names beside C functions.
functions_of() {
	grep -oh '{"[a-z_0-9]*", [a-z_0-9]*}' "$@" | cut -d'"' -f2
}
{
	functions_of ${object}_make.c ${object}_payload.c ${object}_text.c
	echo dump find replace
} | same "Methods of a packet"
functions_of src/script/flow_object.c | grep -v __ | same Flows
{
	functions_of src/script/sets.c
	echo set.file
} | grep -v __ | same Sets
echo cancel | same Timers

# Globals: what a file finds, less what is Lua's own.
echo 'local t = {} for k in pairs(_G) do t[#t + 1] = k end
	error(table.concat(t, " "), 0)' >"$dir/globals.lua"
"$sluice" check "$dir/globals.lua" 2>&1 | sed 's/.*globals.lua:[0-9]*: //' |
	tr ' ' '\n' >"$dir/globals"
awk '/^\.S[sh] / { on = $0 == ".Ss Lua" }
	on && /^\.Ic / ' "$man" | tr -s ' ,' '\n' |
	sort -u >"$dir/lua"
grep -vxF -f "$dir/lua" "$dir/globals" | same "Functions of a file's top level" \
	Verdicts "Other functions"
for name in assert coroutine math os string table utf8; do
	grep -qx $name "$dir/globals" || fail "'$name' is no global any more"
done

[ $failed = 0 ] && echo "docs: $examples examples"
exit $failed
