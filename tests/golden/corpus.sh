#!/usr/bin/env bash
# corpus.sh SLUICE: sluice replay over the captures of other people, all that
# are below the folder SLUICE_CORPUS. Through a rule that changes nothing each
# frame comes out as it went in; through a rule that writes every field, what
# was right before is right afterwards. Judged by corpus.py with scapy, which
# has nothing of ours in it.
set -u
sluice=$(realpath "${1:?which sluice?}")
cd "$(dirname "$0")" || exit 2
if [ -z "${SLUICE_CORPUS:-}" ]; then
	echo "corpus: skipped: SLUICE_CORPUS names no folder of captures"
	exit 77
fi
if ! /usr/bin/python3 -c 'import scapy' 2>/dev/null; then
	echo "corpus: skipped: no scapy (apt install python3-scapy)"
	exit 77
fi
exec /usr/bin/python3 corpus.py "$sluice" "$SLUICE_CORPUS"
