#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What the capture takes for granted of handing arrivals back: what is written
# to a TAP whose ingress redirects (u32, mirred) to the ingress of an uplink
# is seen by the host as coming from that uplink, also with rp_filter=1; and
# when the TAP's owner is killed, filter and TAP are gone and the uplink is as
# it was. Needs iproute2, ping and python3. 0: true; 77: cannot try.
set -u
[ "${1-}" = inside ] || exec unshare -Urn "$0" inside
cannot() { echo "cannot try: $1"; exit 77; }
r=0
expect() { if eval "$2"; then echo "true: $1"; else echo "FALSE: $1"; r=1; fi; }

ip link set lo up
ip link add va type veth peer name vb || cannot veth
ip addr add 10.66.0.1/24 dev va
ip link set va up; ip link set vb up
ip neigh add 10.66.0.2 lladdr 02:00:00:00:00:02 dev va
echo 1 >/proc/sys/net/ipv4/conf/va/rp_filter 2>/dev/null
mac=$(ip -o link show va | sed -n 's,.*link/ether \([0-9a-f:]*\).*,\1,p')
before=$(ip -o link; tc qdisc; ip rule; ip route)

# Answers the pings that leave by va (seen at vb), by writing to the TAP.
python3 - "$mac" <<'P' &
import fcntl, os, socket, struct, sys, time
f = os.open('/dev/net/tun', os.O_RDWR)
fcntl.ioctl(f, 0x400454ca, struct.pack('16sH22x', b'sli', 0x1002))
mac = bytes.fromhex(sys.argv[1].replace(':', ''))
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x800))
s.bind(('vb', 0x800))
while True:
    p = bytearray(s.recv(2000))
    q = p[14:]
    if q[9] != 1 or q[20] != 8:
        continue
    q[12:16], q[16:20] = q[16:20], q[12:16]
    q[20] = 0
    c = (q[22] << 8 | q[23]) + 0x800
    c = (c & 0xffff) + (c >> 16)
    q[22], q[23] = c >> 8, c & 255
    os.write(f, mac + bytes.fromhex('02deadbeef01') + b'\x08\x00' + q)
P
owner=$!
trap 'kill -9 $owner 2>/dev/null' EXIT
for i in 1 2 3 4 5 6 7 8 9 10; do
	ip link show sli >/dev/null 2>&1 && break
	sleep 0.2
done
ip link set sli address "$mac" arp off up || cannot "a TAP"
tc qdisc add dev sli clsact || cannot clsact
tc filter add dev sli ingress protocol all prio 1 u32 match u32 0 0 \
	action mirred ingress redirect dev va || cannot "u32 and mirred"

expect "what is handed back arrives" 'ping -c1 -W2 10.66.0.2 >/dev/null'
expect "and from the uplink: also bound to it" \
	'ping -c1 -W2 -I va 10.66.0.2 >/dev/null'
kill -9 $owner; wait $owner 2>/dev/null
after=$(ip -o link; tc qdisc; ip rule; ip route)
expect "after SIGKILL nothing is left" '[ "$before" = "$after" ]'
exit $r
