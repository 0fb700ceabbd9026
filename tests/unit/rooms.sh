#!/usr/bin/env bash
# Includes go one way: command -> daemon -> {script, capture} -> rule ->
# packet -> base; lua.h only in script, libmnl and libnftnl only in capture.
set -u
cd "$(dirname "$0")/../../src" || exit 2
declare -A may=(
	[base]="base"
	[packet]="packet base"
	[rule]="rule packet base"
	[script]="script rule packet base"
	[capture]="capture rule packet base"
	[daemon]="daemon script capture rule packet base"
	[command]="command daemon script capture rule packet base"
)
fail=0
complain() { echo "rooms: $*"; fail=1; }
for room in "${!may[@]}"; do
	while IFS=: read -r file line text; do
		to=${text#*\"}; to=${to%%/*}
		[[ " ${may[$room]} " == *" $to "* ]] ||
			complain "$file:$line: $room must not include $to"
	done < <(grep -nE '^#include "[a-z]+/' -r "$room" --include='*.[ch]' /dev/null)
	while IFS=: read -r file line text; do
		complain "$file:$line: local includes are named ROOM/FILE"
	done < <(grep -nE '^#include "[^/"]+"' -r "$room" --include='*.[ch]' /dev/null)
	[ "$room" = script ] || while IFS=: read -r file line text; do
		complain "$file:$line: only script knows Lua"
	done < <(grep -nE '^#include <(lua|lauxlib|lualib)' -r "$room" --include='*.[ch]' /dev/null)
	[ "$room" = capture ] || while IFS=: read -r file line text; do
		complain "$file:$line: only capture knows libmnl and libnftnl"
	done < <(grep -nE '^#include <lib(mnl|nftnl)/' -r "$room" --include='*.[ch]' /dev/null)
done
grep -rnE '\b(system|popen)\(' . && complain "no shell at run time"
[ "$fail" = 0 ] && echo "rooms: includes go one way"
exit $fail
