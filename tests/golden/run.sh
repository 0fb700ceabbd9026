#!/usr/bin/env bash
# run.sh SLUICE [CASE...]: sluice replay over captures made by hand.
#
# A case is a folder: input.py (the packets, see frames.py), args (what stands
# behind "sluice replay": $IN is the capture, $RULES the rule library), rule
# files of its own where needed, and what is expected: expected.txt on
# standard output, expected.err on standard error, expected.json with --json,
# expected.frames in the capture that was written, expected.files in those that
# the rules wrote with pcap(), where they did.
# UPDATE=1 writes the expectations anew: read the difference before it counts.
set -u
sluice=$(realpath "${1:?which sluice?}") || exit 2
shift
cd "$(dirname "$0")" || exit 2
cases=("$@")
[ ${#cases[@]} -gt 0 ] || cases=(*/)
python=/usr/bin/python3
if ! $python -c 'import scapy' 2>/dev/null; then
	echo "golden: skipped: no scapy (apt install python3-scapy)"
	exit 77
fi
tmp=$(mktemp -d) || exit 2
trap 'rm -rf "$tmp"' EXIT
export TZ=UTC RULES=$PWD/../../rules
failed=0 passed=0

# same WHAT EXPECTED GOT: compares two files, and shows the difference.
same() {
	if [ -n "${UPDATE:-}" ]; then
		cp "$3" "$2"
	elif ! diff -u --label "$1" --label got "$2" "$3"; then
		return 1
	fi
	passed=$((passed + 1))
}

# Runs a case's words, its folder being the current one.
replay() {
	local words
	eval "words=($(cat args))"
	"$sluice" replay "${words[@]}" "$@"
}

# All that a case writes goes to $tmp/CASE.*.
run_case() {
	local got=$tmp/${1%/}
	# shellcheck disable=SC2034 # args uses it
	local IN=$got.pcap
	# What rules write they write where the program runs: in a copy.
	cp -r "$1" "$tmp/work"
	cd "$tmp/work" || return 1
	replay -w "$got" >"$got.txt" 2>"$got.err" </dev/null
	echo "status $?" >>"$got.err"
	replay --json >"$got.json" 2>/dev/null </dev/null
	local file
	for file in *.pcap *.pcapng; do
		[ -e "$file" ] || continue
		$python "$OLDPWD/frames.py" dump "$file"
		sed "s|^|$file |" "$file.frames" >>"$got.files"
	done
	cd "$OLDPWD" || exit 2
	rm -rf "$tmp/work"
}

judge_case() {
	local case=${1%/} ok=0
	for what in txt err json frames files; do
		[ $what != files ] || [ -e "$tmp/$case.files" ] ||
			[ -e "$case/expected.files" ] || continue
		same "$case/expected.$what" "$case/expected.$what" \
			"$tmp/$case.$what" || ok=1
	done
	return $ok
}

# fails STATUS LINE ARGUMENT...: the last line on standard error is exact.
fails() {
	local status=$1 line=$2 got
	shift 2
	said=$("$sluice" replay "$@" 2>&1 >"$tmp/out" </dev/null)
	got=$?
	if [ $got != "$status" ] || [ "$(tail -n1 <<<"$said")" != "$line" ]; then
		printf 'golden: replay %s\n  expected (%s) %s\n  got      (%s) %s\n' \
			"$*" "$status" "$line" "$got" "$said"
		failed=$((failed + 1))
		return
	fi
	passed=$((passed + 1))
}

# alone STATUS LINE ARGUMENT...: and it is the only one.
alone() {
	fails "$@"
	[ "$(wc -l <<<"$said")" = 1 ] && return
	echo "golden: replay ${*:3}: more than one line: $said"
	failed=$((failed + 1))
}

errors() {
	local said ttl=$RULES/ttl.lua
	cd "$tmp" || exit 2
	cp ttl.pcap in.pcap
	head -c $(($(stat -c %s in.pcap) - 7)) in.pcap >cut.pcap
	head -c 11 in.pcap >header.pcap
	echo 'hello, this is not a capture file' >text.pcap
	: >empty.pcap
	echo 'rule { action = "ACCEPT" }' >wrong.lua
	cp "$ttl" mine.lua

	alone 2 "sluice: replay: which rules? Name at least one rule file (RULE.lua); see sluice replay --help"
	alone 2 "sluice: replay: which rules? Name at least one rule file (RULE.lua); see sluice replay --help" in.pcap
	alone 2 "sluice: replay: which capture? Name one capture file, or - for standard input; see sluice replay --help" mine.lua
	alone 2 "sluice: replay: in.pcap and b.pcap are two capture files; name one (rule files end in .lua)" mine.lua in.pcap b.pcap
	alone 2 "sluice: cannot read none.lua: No such file or directory" none.lua in.pcap
	alone 2 "sluice: wrong.lua:1: rule: action must be a function or a verdict, not the string 'ACCEPT'; ACCEPT, DROP and REJECT are written without quotes" wrong.lua in.pcap
	alone 2 "sluice: the option -w wants a value; see sluice replay --help" mine.lua in.pcap -w
	alone 2 "sluice: the option --explain=yes takes no value; see sluice replay --help" --explain=yes mine.lua in.pcap
	alone 2 "sluice: there is no option --capture; see sluice replay --help" --capture wire mine.lua in.pcap
	alone 2 "sluice: --local: '10.0.0.1/8' has bits set after its prefix; did you mean 10.0.0.0/8?; see sluice replay --help" --local 10.0.0.1/8 mine.lua in.pcap
	alone 2 "sluice: replay: -w ./in.pcap would overwrite what is read; name another file" mine.lua in.pcap -w ./in.pcap
	alone 2 "sluice: replay: -w mine.lua would overwrite what is read; name another file" mine.lua in.pcap -w mine.lua
	alone 1 "sluice: none.pcap: cannot be opened: No such file or directory" mine.lua none.pcap
	alone 1 "sluice: text.pcap: not a capture file (pcap or pcapng)" mine.lua text.pcap
	alone 1 "sluice: empty.pcap: not a whole capture file: truncated dump file; tried to read 4 file header bytes, only got 0" mine.lua empty.pcap
	alone 1 "sluice: header.pcap: not a whole capture file: truncated dump file; tried to read 24 file header bytes, only got 7" mine.lua header.pcap
	alone 1 "sluice: nowhere/out.pcap: cannot be created: No such file or directory" mine.lua in.pcap -w nowhere/out.pcap
	fails 1 "sluice: /dev/full: cannot be written: No space left on device" mine.lua in.pcap -w /dev/full

	# What is wrong is found before a file is created.
	for wrong in "none.lua in.pcap" "mine.lua none.pcap" "mine.lua text.pcap"; do
		# shellcheck disable=SC2086 # two words
		"$sluice" replay $wrong -w created.pcap >out 2>&1
		[ ! -e created.pcap ] && continue
		echo "golden: replay $wrong: created its output"
		failed=$((failed + 1))
	done

	# A file that ends too early: what was read is said and written.
	fails 1 "sluice: cut.pcap: after frame 2: truncated dump file; tried to read 47 captured bytes, only got 40" \
		mine.lua cut.pcap -w part.pcap
	lines=$(grep -c ACCEPT out)
	$python "$OLDPWD/frames.py" dump part.pcap
	frames=$(wc -l <part.pcap.frames)
	if [ "$lines $frames" != "2 2" ]; then
		echo "golden: cut.pcap: 2 packets expected; $lines said, $frames written"
		failed=$((failed + 1))
	fi
	cd "$OLDPWD" || exit 2
}

$python frames.py make "$tmp" "${cases[@]}" || exit 1
written=()
for case in "${cases[@]}"; do
	run_case "$case"
	written+=("${case%/}")
done
(cd "$tmp" && $python "$OLDPWD/frames.py" dump "${written[@]}") || failed=1
# A line that is no JSON is not for machines.
(cd "$tmp" && cat "${written[@]/%/.json}" | $python -c 'import json, sys
for line in sys.stdin: json.loads(line)') || failed=1
for case in "${cases[@]}"; do
	judge_case "$case" && continue
	echo "golden: ${case%/}: FAILED"
	failed=$((failed + 1))
done
[ $# -gt 0 ] || errors
echo "golden: ${#cases[@]} cases, $passed comparisons held, $failed failed"
[ $failed = 0 ]
