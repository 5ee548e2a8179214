/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/* What userspace and the classifier share: the maps, and the meaning of the numbers in them. The Rust side is in
 * loader.rs, state.rs and counters.rs. */
#ifndef PENSTOCK_MAPS_H
#define PENSTOCK_MAPS_H

#include <linux/in6.h>

#include "bpf.h"

#define QUEUES_PER_SLOT 64
#define SLOTS 256
#define MAX_ADDRESSES 262144
#define MAX_FRAGMENTED 16384
#define MAX_RANGES 64
#define PORT_WORDS (65536 / 64)
#define FAMILY_WORDS (3 * PORT_WORDS)

/* Roles of an address: loader.rs has the same. */
enum { VIP = 1, NODE = 2, SNAT = 4, BACKEND = 8 };

/* Flags of an interface: loader.rs has the same. */
enum { BACKEND_ROLE = 1 };

/* The lists of ports that share a map: maps.rs has the same. */
enum port_list { NODE_PORTS, BACKEND_PORTS, PORT_LISTS };

/* Every packet is counted under one of these: counters.rs has the same, in the same order. */
enum verdict {
	PASS_UNKNOWN_INTERFACE,
	PASS_NOT_IP,
	PASS_MALFORMED,
	PASS_NOT_OURS,
	PASS_NEIGHBOUR,
	REDIRECT_VIP,
	REDIRECT_NODE_PORT,
	REDIRECT_SNAT,
	REDIRECT_ICMP_ERROR,
	REDIRECT_FRAGMENT,
	REDIRECT_BACKEND,
	REDIRECT_LANE,
	DROP_NO_SOCKET,
	VERDICTS,
};

struct interface {
	__u32 slot;
	__u32 flags;
};

struct config {
	__u16 snat_first;
	__u16 snat_last;
};

/* Keys of the ranges: how many bits count, and the address. */
struct range4 {
	__u32 bits;
	__be32 address;
};

struct range6 {
	__u32 bits;
	struct in6_addr address;
};

struct datagram {
	__u32 source[4];
	__u32 destination[4];
	__u32 id;
	__u32 protocol;
};

struct {
	MAP_UINT(type, BPF_MAP_TYPE_HASH);
	MAP_UINT(map_flags, BPF_F_NO_PREALLOC);
	MAP_UINT(max_entries, 1024);
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, struct interface);
} interfaces SEC(".maps");

struct {
	MAP_UINT(type, BPF_MAP_TYPE_HASH);
	MAP_UINT(map_flags, BPF_F_NO_PREALLOC);
	MAP_UINT(max_entries, MAX_ADDRESSES);
	MAP_TYPE(key, __be32);
	MAP_TYPE(value, __u32);
} addresses4 SEC(".maps");

struct {
	MAP_UINT(type, BPF_MAP_TYPE_HASH);
	MAP_UINT(map_flags, BPF_F_NO_PREALLOC);
	MAP_UINT(max_entries, MAX_ADDRESSES);
	MAP_TYPE(key, struct in6_addr);
	MAP_TYPE(value, __u32);
} addresses6 SEC(".maps");

/* Ranges of Service addresses: what has no role in them is treated as a VIP. */
struct {
	MAP_UINT(type, BPF_MAP_TYPE_LPM_TRIE);
	MAP_UINT(map_flags, BPF_F_NO_PREALLOC);
	MAP_UINT(max_entries, MAX_RANGES);
	MAP_TYPE(key, struct range4);
	MAP_TYPE(value, __u32);
} ranges4 SEC(".maps");

struct {
	MAP_UINT(type, BPF_MAP_TYPE_LPM_TRIE);
	MAP_UINT(map_flags, BPF_F_NO_PREALLOC);
	MAP_UINT(max_entries, MAX_RANGES);
	MAP_TYPE(key, struct range6);
	MAP_TYPE(value, __u32);
} ranges6 SEC(".maps");

/* One bit a port. A list is IPv4's words, then IPv6's; a family TCP's 1024 words, then UDP's, then SCTP's. The lists:
 * NodePorts, then what backends which see the clients' addresses serve on. */
struct {
	MAP_UINT(type, BPF_MAP_TYPE_ARRAY);
	MAP_UINT(max_entries, PORT_LISTS * 2 * FAMILY_WORDS);
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, __u64);
} ports SEC(".maps");

struct {
	MAP_UINT(type, BPF_MAP_TYPE_ARRAY);
	MAP_UINT(max_entries, 1);
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, struct config);
} config SEC(".maps");

/* When the first fragment of a datagram of ours was seen. */
struct {
	MAP_UINT(type, BPF_MAP_TYPE_LRU_HASH);
	MAP_UINT(max_entries, MAX_FRAGMENTED);
	MAP_TYPE(key, struct datagram);
	MAP_TYPE(value, __u64);
} fragments SEC(".maps");

struct {
	MAP_UINT(type, BPF_MAP_TYPE_XSKMAP);
	MAP_UINT(max_entries, SLOTS * QUEUES_PER_SLOT);
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, __u32);
} xsks SEC(".maps");

struct {
	MAP_UINT(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	MAP_UINT(max_entries, VERDICTS);
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, __u64);
} counters SEC(".maps");

#endif
