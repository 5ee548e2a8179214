/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/* The fast lane, as userspace and the classifier share it: slots, hops, and the index that leads to them. The Rust side
 * is lane/slot.rs, lane/hop.rs and xdp/lane/. Sizes of the maps are set when they are loaded; what is written here is
 * what they have where there is no lane. */
#ifndef PENSTOCK_LANE_H
#define PENSTOCK_LANE_H

#include "bpf.h"

/* Set when loaded. Without the lane the verifier removes all of its code. */
const volatile __u32 lane_is_on = 0;
/* Whether the kernel has bpf_ktime_get_coarse_ns (5.11). */
const volatile __u32 has_coarse_clock = 0;

/* A packet's addresses and ports, in the order of its headers and in their byte order. */
struct tuple4 {
	__u32 addresses[2];
	__u32 ports;
};

struct tuple6 {
	__u32 addresses[8];
	__u32 ports;
};

/* What the index is asked for. */
struct lane_key4 {
	struct tuple4 tuple;
	__u32 protocol;
};

struct lane_key6 {
	struct tuple6 tuple;
	__u32 protocol;
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
	__u32 live;
	__u32 epoch;
	struct tuple4 arrives;
	struct tuple4 leaves;
	struct lane_use use;
	__u64 bytes;
} __attribute__((aligned(64)));

struct lane_slot6 {
	__u32 live;
	__u32 epoch;
	struct tuple6 arrives;
	struct tuple6 leaves;
	struct lane_use use;
	__u64 bytes;
} __attribute__((aligned(64)));

struct lane_hop {
	__u16 destination[3];
	__u16 source[3];
	__u32 port; /* Plus one; 0: there is no way. */
	__u32 mtu;
	__u32 tags;
	__u32 vlan[2];
};

/* Values are the number of a slot, and above it its generation. */
struct {
	MAP_UINT(type, BPF_MAP_TYPE_HASH);
	MAP_UINT(max_entries, 1);
	MAP_TYPE(key, struct lane_key4);
	MAP_TYPE(value, __u64);
} lane_index4 SEC(".maps");

struct {
	MAP_UINT(type, BPF_MAP_TYPE_HASH);
	MAP_UINT(max_entries, 1);
	MAP_TYPE(key, struct lane_key6);
	MAP_TYPE(value, __u64);
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

/* What slots must have to be used: by 2 * IPv6 + UDP. */
struct {
	MAP_UINT(type, BPF_MAP_TYPE_ARRAY);
	MAP_UINT(max_entries, 4);
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, __u32);
} lane_epochs SEC(".maps");

/* The interfaces that a redirect to works, by port. */
struct {
	MAP_UINT(type, BPF_MAP_TYPE_DEVMAP);
	MAP_UINT(max_entries, SLOTS);
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, struct bpf_devmap_val);
} lane_ports SEC(".maps");

#endif
