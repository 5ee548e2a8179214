/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/* Both ends of TCP connections that ask a byte and are answered a byte, one request in flight each (netperf's TCP_RR).
 *
 * `answer` is the servers: it takes every TCP packet that comes. `ask` is the clients: it takes what comes to their
 * ports. Each turns the segment that it takes into the next one of the connection, and sends it back where it came from.
 * So an end costs what XDP costs, and what is between them is what is measured. A connection is opened by a handshake of
 * three (RFC 9293 §3.5), sequence numbers and acknowledgements are right throughout, and every checksum is verified, so
 * that connection tracking on the way finds nothing to object to. tcp_rr.rs sends the SYN and the first request.
 *
 * Limits: IPv4 and TCP without options; nothing is sent again, so a segment that is lost ends its connection's turns.
 * An interface's packets come to one processor at a time, so nothing here is atomic. */
#include "wire.h"

#define PAYLOAD_BYTES 1
#define TTL 64

enum { FIN = 0x01, SYN = 0x02, RST = 0x04, PSH = 0x08, ACK = 0x10 };

/* Where the sequence numbers of servers begin. */
#define SERVER_ISN 0x10000000

#define MAX_CONNECTIONS 256
/* Times of answers are counted by the microsecond; longer ones than that together. */
#define MICROSECONDS 8192

struct config {
	/* Of the clients; one for each connection. */
	__u16 first_port;
	__u16 connections;
	/* Whether an answer makes the next request. */
	__u16 goes_on;
	/* Whether times of answers are counted. */
	__u16 counts_times;
};

struct connection {
	/* CLOCK_MONOTONIC: when the request left that is in flight; 0: unknown. */
	__u64 asked_ns;
	__u64 answered;
	/* Whether the server has accepted it. */
	__u64 is_open;
};

struct counts {
	__u64 answered;
	/* Segments with a wrong checksum. */
	__u64 corrupt;
	/* Connections that were reset. */
	__u64 reset;
};

struct {
	MAP_UINT(type, BPF_MAP_TYPE_ARRAY);
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, struct config);
	MAP_UINT(max_entries, 1);
} config SEC(".maps");

struct {
	MAP_UINT(type, BPF_MAP_TYPE_ARRAY);
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, struct connection);
	MAP_UINT(max_entries, MAX_CONNECTIONS);
} connections SEC(".maps");

struct {
	MAP_UINT(type, BPF_MAP_TYPE_ARRAY);
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, struct counts);
	MAP_UINT(max_entries, 1);
} counts SEC(".maps");

struct {
	MAP_UINT(type, BPF_MAP_TYPE_ARRAY);
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, __u64);
	MAP_UINT(max_entries, MICROSECONDS);
} times SEC(".maps");

struct ipv4 {
	__u8 version_ihl, tos;
	__be16 length, id, fragment;
	__u8 ttl, protocol;
	__u16 checksum;
	__be32 source, destination;
};

struct tcp {
	__be16 source_port, destination_port;
	__be32 seq, ack;
	__u8 offset, flags;
	__be16 window;
	__u16 checksum, urgent;
};

/* A segment: headers without options, and a byte of payload or none. */
struct segment {
	__u8 *macs;
	struct ipv4 *ip;
	struct tcp *tcp;
	__u8 payload;
	__u8 payload_bytes;
};

INLINE __u16 tcp_sum(const struct segment *s)
{
	__u64 sum = sum_of(s->tcp);

	sum += (__u64)s->ip->source + s->ip->destination + BE16(6) + BE16(TCP_BYTES + s->payload_bytes);
	/* The payload is the first byte of its word. */
	return fold(sum + (s->payload_bytes ? BE16((__u16)s->payload << 8) : 0));
}

/* Finds the segment of a frame. 0: it is none of ours. */
INLINE int find(struct xdp_md *ctx, struct segment *s)
{
	__u8 *data = (__u8 *)(long)ctx->data, *data_end = (__u8 *)(long)ctx->data_end;
	__u8 *end = data + ETHERNET_BYTES + IPV4_BYTES + TCP_BYTES;
	__u16 length;

	if (end > data_end || *(__be16 *)(data + 12) != BE16(0x0800))
		return 0;
	s->macs = data;
	s->ip = (struct ipv4 *)(data + ETHERNET_BYTES);
	s->tcp = (struct tcp *)(data + ETHERNET_BYTES + IPV4_BYTES);
	length = be16(s->ip->length);
	if (s->ip->version_ihl != 0x45 || s->ip->protocol != 6 || s->tcp->offset != TCP_BYTES / 4 << 4)
		return 0;
	s->payload = s->payload_bytes = 0;
	if (length == IPV4_BYTES + TCP_BYTES + PAYLOAD_BYTES) {
		if (end + PAYLOAD_BYTES > data_end)
			return 0;
		s->payload = *end;
		s->payload_bytes = PAYLOAD_BYTES;
	}
	return length == IPV4_BYTES + TCP_BYTES + s->payload_bytes;
}

INLINE int is_whole(const struct segment *s)
{
	return fold(sum_of(s->ip)) == 0xffff && tcp_sum(s) == 0xffff;
}

/* Makes a segment the next one of its connection, in the other direction, and sends it. The payload stays.
 *
 * By a redirect to where it came from, not by XDP_TX: a veth's XDP_TX wakes its other end only if that has an XDP program
 * (veth_xdp_flush in drivers/net/veth.c), which a gateway that is the kernel alone has not. */
INLINE int turn(struct xdp_md *ctx, struct segment *s, __u8 flags)
{
	__u32 seq = BE32(s->tcp->seq), length = s->payload_bytes + !!(s->tcp->flags & SYN);
	__be32 address = s->ip->source;
	__be16 port = s->tcp->source_port;
	__u8 mac;

#pragma unroll
	for (int i = 0; i < 6; i++) {
		mac = s->macs[i];
		s->macs[i] = s->macs[6 + i];
		s->macs[6 + i] = mac;
	}
	s->ip->source = s->ip->destination;
	s->ip->destination = address;
	s->ip->ttl = TTL;
	s->ip->checksum = 0;
	s->ip->checksum = ~fold(sum_of(s->ip));
	s->tcp->source_port = s->tcp->destination_port;
	s->tcp->destination_port = port;
	s->tcp->seq = s->tcp->flags & ACK ? s->tcp->ack : BE32(SERVER_ISN);
	s->tcp->ack = BE32(seq + length);
	s->tcp->flags = flags;
	s->tcp->checksum = 0;
	s->tcp->checksum = ~tcp_sum(s);
	return bpf_redirect(ctx->ingress_ifindex, 0);
}

SEC("xdp") int answer(struct xdp_md *ctx)
{
	__u32 zero = 0;
	struct counts *n = bpf_map_lookup_elem(&counts, &zero);
	struct segment s;

	if (!n || !find(ctx, &s))
		return XDP_PASS;
	if (!is_whole(&s)) {
		n->corrupt++;
		return XDP_DROP;
	}
	if (s.tcp->flags == SYN)
		return turn(ctx, &s, SYN | ACK);
	/* What is left is the acknowledgement that ends a handshake. */
	return s.payload_bytes ? turn(ctx, &s, PSH | ACK) : XDP_DROP;
}

SEC("xdp") int ask(struct xdp_md *ctx)
{
	__u32 zero = 0, at;
	struct config *config_ = bpf_map_lookup_elem(&config, &zero);
	struct counts *n = bpf_map_lookup_elem(&counts, &zero);
	struct connection *connection;
	struct segment s;
	__u64 now, *count;

	if (!config_ || !n || !find(ctx, &s))
		return XDP_PASS;
	at = (__u16)(be16(s.tcp->destination_port) - config_->first_port);
	if (at >= config_->connections)
		return XDP_PASS;
	connection = bpf_map_lookup_elem(&connections, &at);
	if (!connection)
		return XDP_PASS;
	if (!is_whole(&s)) {
		n->corrupt++;
		return XDP_DROP;
	}
	if (s.tcp->flags == (SYN | ACK)) {
		connection->is_open = 1;
		return turn(ctx, &s, ACK);
	}
	if (s.tcp->flags & RST)
		n->reset++;
	if (!s.payload_bytes)
		return XDP_DROP;
	n->answered++;
	connection->answered++;
	now = bpf_ktime_get_ns();
	if (config_->counts_times && connection->asked_ns) {
		at = (now - connection->asked_ns) / 1000;
		if (at >= MICROSECONDS)
			at = MICROSECONDS - 1;
		count = bpf_map_lookup_elem(&times, &at);
		if (count)
			++*count;
	}
	if (!config_->goes_on)
		return XDP_DROP;
	connection->asked_ns = now;
	return turn(ctx, &s, PSH | ACK);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
