/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/* The fast lane: a packet of a promoted flow is rewritten and sent on here, as its worker would have done.
 *
 * In:   a packet, and where its IP header is.
 * Out:  1: it is rewritten, and redirected to where it goes. 0: it is as it was, and the worker's or whose it may be.
 * Cost: a hit touches two lines of the lane's at random, of the index and the slot; hops and notices are few and close
 *       by. Where no flow is promoted, the line of the index; for what is no whole TCP or UDP packet in the middle of a
 *       flow, none. On an EPYC (Zen 4), Linux 6.18, one flow, by BPF_PROG_TEST_RUN, the 21 ns that a run takes by itself
 *       among them: a hit 50 ns (IPv4) and 55 ns (IPv6), counters included (xdp/tests/lane/speed.rs).
 * RFCs: 1624 (checksums by deltas), 768, 8200 §8.1 and 9293 (what is whole), 1812 §5.3.1 (TTL).
 * Limits: everything that needs judgement is the worker's: SYN, FIN, RST, no ACK, fragments, options, extension
 *       headers, the last hop, what is longer than its way, what came by another way, what gets or loses a tag.
 *
 * A packet trusts a slot that the index names only if the slot itself says which packets it is of, and has the epoch in
 * force. Whatever of it changes while the packet is here: a slot that has ended rests for longer than this takes, so all
 * that is read belongs to one flow. Fields are read behind the slot's number, on which their addresses depend, and the
 * index had it after they were written: that is order enough.
 *
 * Nothing is written to the packet before the redirect is certain. */
#ifndef PENSTOCK_LANE_BPF_H
#define PENSTOCK_LANE_BPF_H

#include <linux/tcp.h>
#include <linux/udp.h>

#include "bpf.h"
#include "lane.h"
#include "packet.h"
#include "wire.h"

#define TAG_LEN sizeof(struct vlan_tag)
#define MACS_LEN (2 * ETH_ALEN)

/* IPv4 without options. */
#define PLAIN_IPV4 0x45
/* More fragments, and the offset. */
#define FRAGMENT 0x3fff

enum { TCP_FIN = 1, TCP_SYN = 2, TCP_RST = 4, TCP_ACK = 16 };

/* The head of a frame that an IP header is behind: addresses, and tags if it has any. */
struct lane_link {
	__u32 macs[3];
	__u32 tags[VLAN_TAGS];
};

/* What is to be known of a packet beside its tuple. */
struct lane_packet {
	const struct lane_notices *notices;
	struct lane_link *link;
	__u32 *ports;
	__u16 *check; /* The checksum of TCP or UDP. */
	__u32 at;     /* Its IP header. */
	__u32 length; /* From there to its end. */
	__u32 protocol;
	__u32 acked;
};

/* One's complement addition: the carry comes round. */
INLINE __u16 add16(__u16 a, __u16 b)
{
	__u32 sum = (__u32)a + b;

	return sum + (sum >> 16);
}

/* RFC 1624 equation 3, as wire/checksum.rs has it. */
INLINE __u16 apply_delta(__u16 checksum, __u16 delta)
{
	return ~add16(~checksum, delta);
}

INLINE __u32 frame_length(struct xdp_md *ctx)
{
	return frame_end(ctx) - frame_start(ctx);
}

/* Whether this is UDP, or TCP in the middle of a connection, and is whole by what its header says. As much as a header of
 * UDP is there. */
INLINE int is_steady(struct xdp_md *ctx, struct lane_packet *packet, struct udphdr *udp, __u32 header, int v6)
{
	__u32 length = packet->length - header, stated;
	struct tcphdr *tcp;
	__u8 flags;

	packet->ports = (__u32 *)udp;
	if (packet->protocol == IPPROTO_UDP) {
		packet->check = &udp->check;
		stated = be16(udp->len);
		return stated >= sizeof(*udp) && stated <= length && (!v6 || udp->check);
	}
	if (packet->protocol != IPPROTO_TCP)
		return 0;
	tcp = bytes(ctx, packet->at + header, sizeof(*tcp));
	if (!tcp)
		return 0;
	packet->check = &tcp->check;
	packet->acked = BE32(tcp->ack_seq);
	stated = tcp->doff * 4;
	flags = ((__u8 *)tcp)[13];
	return stated >= sizeof(*tcp) && stated <= length &&
	       (flags & (TCP_FIN | TCP_SYN | TCP_RST | TCP_ACK)) == TCP_ACK;
}

/* Whether slots of this epoch are in use; it tells of TCP or UDP, too. 0 is that of a slot which nobody has. */
INLINE int is_in_force(__u32 epoch, const struct lane_packet *packet, int v6)
{
	int udp = packet->protocol == IPPROTO_UDP;

	return epoch && epoch == READ_ONCE(packet->notices->epochs[2 * v6 + udp]);
}

/* The hash of tuples: lane/hash.rs has the same. */
INLINE __u64 hash_two(__u32 one, __u32 other, int key)
{
	return (__u64)(one + lane_hash_keys[key]) * (__u32)(other + lane_hash_keys[key + 1]);
}

INLINE __u32 hash_end(__u64 sum)
{
	return (sum ^ sum >> 32) * lane_hash_multiplier >> 32;
}

INLINE __u32 hash4(const struct tuple4 *tuple, __u32 protocol)
{
	return hash_end(hash_two(tuple->ports, protocol, 0) + hash_two(tuple->addresses[0], tuple->addresses[1], 2));
}

INLINE __u32 hash6(const struct tuple6 *tuple, __u32 protocol)
{
	__u64 sum = hash_two(tuple->ports, protocol, 0);

	for (int i = 0; i < 8; i += 2)
		sum += hash_two(tuple->addresses[i], tuple->addresses[i + 1], 2 + i);
	return hash_end(sum);
}

/* The number of the slot that an entry may name for this hash, from the first one looked at on; what is not below
 * MOST_SLOTS is none. lane/index.rs has the same. */
#define MOST_SLOTS ((1U << NUMBER_BITS) - 1)

INLINE __u32 named(const struct lane_bucket *bucket, __u32 hash, __u32 nth)
{
	__u32 tag = hash & ~MOST_SLOTS, place = hash >> (NUMBER_BITS - 4) ^ nth;

	place = BOUNDED(place, BUCKET_ENTRIES - 1);
	return (READ_ONCE(bucket->entries[place]) ^ tag) - 1;
}

INLINE __u32 tags_of(const struct lane_packet *packet)
{
	return (packet->at - ETH_HLEN) / TAG_LEN;
}

/* Whether a frame came by this hop. Its addresses are at the start of both. */
INLINE int came_by(struct xdp_md *ctx, const struct lane_packet *packet, __u32 id)
{
	const struct lane_hop *hop = bpf_map_lookup_elem(&lane_hops, &id);
	const struct lane_link *link = packet->link;
	__u32 tags = tags_of(packet), port;
	const __u32 *macs;

	if (!hop || hop->tags != tags)
		return 0;
	macs = (const __u32 *)hop->macs;
	port = READ_ONCE(hop->port) - 1;
	if (port >= SLOTS || READ_ONCE(packet->notices->interfaces[port]) != ctx->ingress_ifindex)
		return 0;
	if (link->macs[0] != macs[0] || link->macs[1] != macs[1] || link->macs[2] != macs[2])
		return 0;
	return (tags < 1 || link->tags[0] == hop->vlan[0]) && (tags < 2 || link->tags[1] == hop->vlan[1]);
}

/* The way of a packet, if it may and can take it; then it is certain to. */
INLINE struct lane_hop *redirect(struct xdp_md *ctx, const struct lane_packet *packet, const struct lane_use *use)
{
	__u32 id = READ_ONCE(use->hop), by = READ_ONCE(use->came_by), port;
	struct lane_hop *hop = bpf_map_lookup_elem(&lane_hops, &id);

	if (!hop || packet->length > hop->mtu || hop->tags != tags_of(packet) || (by && !came_by(ctx, packet, by)))
		return 0;
	port = READ_ONCE(hop->port);
	if (!port || bpf_redirect_map(&lane_ports, port - 1, 0) != XDP_REDIRECT)
		return 0;
	return hop;
}

/* Gives a frame the addresses and tags of its way. */
INLINE void set_link(const struct lane_packet *packet, const struct lane_hop *hop)
{
	struct lane_link *link = packet->link;

	__builtin_memcpy(link->macs, hop->macs + 3, MACS_LEN);
	if (tags_of(packet) > 0)
		link->tags[0] = hop->vlan[0];
	if (tags_of(packet) > 1)
		link->tags[1] = hop->vlan[1];
}

/* Gives a packet its ports, and repairs its checksum. UDP's that is none stays so, and none becomes none. */
INLINE void set_ports(const struct lane_packet *packet, __u32 ports, __u16 delta)
{
	int udp = packet->protocol == IPPROTO_UDP;
	__u16 check = *packet->check;

	*packet->ports = ports;
	if (udp && !check)
		return;
	check = apply_delta(check, delta);
	*packet->check = udp && !check ? 0xffff : check;
}

/* A direction's packets come to one queue, but while a NIC is told otherwise they may come to two. */
INLINE void account(const struct lane_packet *packet, struct lane_use *use, __u64 *bytes)
{
	__sync_fetch_and_add(&use->packets, 1);
	__sync_fetch_and_add(bytes, packet->length);
	use->last_seen = READ_ONCE(packet->notices->now);
	if (packet->protocol == IPPROTO_TCP)
		use->acked = packet->acked;
}

/* Begins with a packet whose IP header is `at` bytes into the frame. 0: there is no lane for it. */
INLINE int begin(struct xdp_md *ctx, struct lane_packet *packet, __u32 at)
{
	__u32 zero = 0;

	if (!lane_is_on)
		return 0;
	packet->at = at;
	packet->notices = bpf_map_lookup_elem(&lane_notices, &zero);
	packet->link = bytes(ctx, 0, sizeof(*packet->link));
	return packet->notices && packet->link;
}

/* What both families do once the IP header is as it leaves. */
INLINE void leave(const struct lane_packet *packet, __u32 ports, const struct lane_hop *hop, struct lane_use *use,
		  __u64 *bytes)
{
	set_ports(packet, ports, use->transport_delta);
	set_link(packet, hop);
	account(packet, use, bytes);
}

/* The slot of packets with this tuple, if it is in force. */
INLINE struct lane_slot4 *find4(const struct tuple4 *tuple, const struct lane_packet *packet)
{
	__u32 hash = hash4(tuple, packet->protocol), number;
	__u32 row = hash & READ_ONCE(packet->notices->last_buckets[0]);
	struct lane_bucket *bucket = bpf_map_lookup_elem(&lane_index4, &row);
	struct lane_slot4 *slot;

	for (int nth = 0; bucket && nth < BUCKET_ENTRIES; nth++) {
		number = named(bucket, hash, nth);
		if (number >= MOST_SLOTS)
			continue;
		slot = bpf_map_lookup_elem(&lane_slots4, &number);
		if (slot && slot->arrives.ports == tuple->ports &&
		    slot->arrives.addresses[0] == tuple->addresses[0] &&
		    slot->arrives.addresses[1] == tuple->addresses[1] &&
		    is_in_force(READ_ONCE(slot->epoch), packet, 0))
			return slot;
	}
	return 0;
}

INLINE int is_same6(const struct tuple6 *one, const struct tuple6 *other)
{
	for (int i = 0; i < 8; i++)
		if (one->addresses[i] != other->addresses[i])
			return 0;
	return one->ports == other->ports;
}

INLINE struct lane_slot6 *find6(const struct tuple6 *tuple, const struct lane_packet *packet)
{
	__u32 hash = hash6(tuple, packet->protocol), number;
	__u32 row = hash & READ_ONCE(packet->notices->last_buckets[1]);
	struct lane_bucket *bucket = bpf_map_lookup_elem(&lane_index6, &row);
	struct lane_slot6 *slot;

	for (int nth = 0; bucket && nth < BUCKET_ENTRIES; nth++) {
		number = named(bucket, hash, nth);
		if (number >= MOST_SLOTS)
			continue;
		slot = bpf_map_lookup_elem(&lane_slots6, &number);
		if (slot && is_same6(&slot->arrives, tuple) && is_in_force(READ_ONCE(slot->epoch), packet, 1))
			return slot;
	}
	return 0;
}

INLINE int lane4(struct xdp_md *ctx, __u32 at)
{
	struct lane_packet packet = {};
	struct lane_slot4 *slot;
	struct lane_hop *hop;
	struct tuple4 tuple;
	struct iphdr *ip;

	if (!begin(ctx, &packet, at))
		return 0;
	ip = bytes(ctx, packet.at, sizeof(*ip) + sizeof(struct udphdr));
	if (!ip || *(__u8 *)ip != PLAIN_IPV4 || ip->frag_off & BE16(FRAGMENT) || ip->ttl <= 1)
		return 0;
	packet.length = be16(ip->tot_len);
	packet.protocol = ip->protocol;
	if (packet.length < sizeof(*ip) || packet.at + packet.length > frame_length(ctx) ||
	    !is_steady(ctx, &packet, (struct udphdr *)(ip + 1), sizeof(*ip), 0))
		return 0;
	tuple.addresses[0] = ip->saddr;
	tuple.addresses[1] = ip->daddr;
	tuple.ports = *packet.ports;
	slot = find4(&tuple, &packet);
	if (!slot || fold(sum_of(ip)) != 0xffff)
		return 0;
	hop = redirect(ctx, &packet, &slot->use);
	if (!hop)
		return 0;
	ip->saddr = slot->leaves.addresses[0];
	ip->daddr = slot->leaves.addresses[1];
	ip->ttl--;
	ip->check = apply_delta(ip->check, slot->use.header_delta);
	leave(&packet, slot->leaves.ports, hop, &slot->use, &slot->bytes);
	return 1;
}

INLINE int lane6(struct xdp_md *ctx, __u32 at)
{
	struct lane_packet packet = {};
	struct lane_slot6 *slot;
	struct lane_hop *hop;
	struct tuple6 tuple;
	struct ipv6hdr *ip;

	if (!begin(ctx, &packet, at))
		return 0;
	ip = bytes(ctx, packet.at, sizeof(*ip) + sizeof(struct udphdr));
	if (!ip || ip->version != 6 || ip->hop_limit <= 1)
		return 0;
	packet.length = sizeof(*ip) + be16(ip->payload_len);
	packet.protocol = ip->nexthdr;
	if (packet.at + packet.length > frame_length(ctx) ||
	    !is_steady(ctx, &packet, (struct udphdr *)(ip + 1), sizeof(*ip), 1))
		return 0;
	/* Source and destination, one behind the other. */
	__builtin_memcpy(tuple.addresses, &ip->saddr, sizeof(tuple.addresses));
	tuple.ports = *packet.ports;
	slot = find6(&tuple, &packet);
	if (!slot)
		return 0;
	hop = redirect(ctx, &packet, &slot->use);
	if (!hop)
		return 0;
	__builtin_memcpy(&ip->saddr, slot->leaves.addresses, sizeof(slot->leaves.addresses));
	ip->hop_limit--;
	leave(&packet, slot->leaves.ports, hop, &slot->use, &slot->bytes);
	return 1;
}

#endif
