/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/* The fast lane, as userspace and the classifier share it: slots, the index that leads to them, hops, and what packets
 * are held against. The Rust side is lane/{slot,index,hop,notices}.rs and xdp/lane/. Sizes of the maps are set when they
 * are loaded; what is written here is what they have where there is no lane. */
#ifndef PENSTOCK_LANE_H
#define PENSTOCK_LANE_H

#include "bpf.h"
#include "maps.h"

/* Set when loaded. Without the lane the verifier removes all of its code. */
const volatile __u32 lane_is_on = 0;

/* The secret of the hash: lane/hash.rs says how it is used. */
#define HASHED_WORDS 10
const volatile __u32 lane_hash_keys[HASHED_WORDS] = {};
const volatile __u64 lane_hash_multiplier = 0;

/* A packet's addresses and ports, in the order of its headers and in their byte order. */
struct tuple4 {
	__u32 addresses[2];
	__u32 ports;
};

struct tuple6 {
	__u32 addresses[8];
	__u32 ports;
};

/* What both families' slots have behind their tuples: lane/slot.rs says what it means. */
struct lane_use {
	__u16 header_delta;
	__u16 transport_delta;
	__u32 hop;
	__u32 came_by;
	__u32 acked;
	__u32 last_seen;
	__u32 packets;
};

struct lane_slot4 {
	__u32 epoch;
	struct tuple4 arrives;
	struct tuple4 leaves;
	struct lane_use use;
	__u32 reserved;
	__u64 bytes;
} __attribute__((aligned(64)));

struct lane_slot6 {
	__u32 epoch;
	struct tuple6 arrives;
	struct tuple6 leaves;
	struct lane_use use;
	__u32 reserved;
	__u64 bytes;
} __attribute__((aligned(64)));

/* A line of the index. An entry is the number of a slot plus one, below eight bits of the hash; 0: it is free. */
#define BUCKET_ENTRIES 16
#define NUMBER_BITS 24
struct lane_bucket {
	__u32 entries[BUCKET_ENTRIES];
};

/* A way. Its addresses are our own, the neighbour's, and our own again: frames come from there with the first two, and go
 * there with the last two. */
struct lane_hop {
	__u16 macs[9];
	__u16 port; /* Plus one; 0: there is no way. */
	__u16 mtu;
	__u16 tags;
	__u32 vlan[2];
};

/* What all packets are held against. */
struct lane_notices {
	__u32 epochs[4];         /* Those in force, by 2 * IPv6 + UDP. */
	__u32 now;               /* The time, as the workers have it. */
	__u32 last_buckets[2];   /* Of the index, by IPv6: how many are in use, a power of two, less one. */
	__u32 reserved[9];
	__u32 interfaces[SLOTS]; /* By port: the index of its interface, if the lane may use it, or 0. */
};

struct {
	MAP_UINT(type, BPF_MAP_TYPE_ARRAY);
	MAP_UINT(map_flags, BPF_F_MMAPABLE);
	MAP_UINT(max_entries, 1);
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, struct lane_bucket);
} lane_index4 SEC(".maps");

struct {
	MAP_UINT(type, BPF_MAP_TYPE_ARRAY);
	MAP_UINT(map_flags, BPF_F_MMAPABLE);
	MAP_UINT(max_entries, 1);
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, struct lane_bucket);
} lane_index6 SEC(".maps");

struct {
	MAP_UINT(type, BPF_MAP_TYPE_ARRAY);
	MAP_UINT(map_flags, BPF_F_MMAPABLE);
	MAP_UINT(max_entries, 1);
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, struct lane_slot4);
} lane_slots4 SEC(".maps");

struct {
	MAP_UINT(type, BPF_MAP_TYPE_ARRAY);
	MAP_UINT(map_flags, BPF_F_MMAPABLE);
	MAP_UINT(max_entries, 1);
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, struct lane_slot6);
} lane_slots6 SEC(".maps");

struct {
	MAP_UINT(type, BPF_MAP_TYPE_ARRAY);
	MAP_UINT(map_flags, BPF_F_MMAPABLE);
	MAP_UINT(max_entries, 1);
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, struct lane_hop);
} lane_hops SEC(".maps");

struct {
	MAP_UINT(type, BPF_MAP_TYPE_ARRAY);
	MAP_UINT(map_flags, BPF_F_MMAPABLE);
	MAP_UINT(max_entries, 1);
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, struct lane_notices);
} lane_notices SEC(".maps");

/* The interfaces that a redirect to works, by port. */
struct {
	MAP_UINT(type, BPF_MAP_TYPE_DEVMAP);
	MAP_UINT(max_entries, SLOTS);
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, struct bpf_devmap_val);
} lane_ports SEC(".maps");

#endif
