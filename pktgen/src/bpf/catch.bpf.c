/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/* The receiver in the kernel: counts the frames that carry the mark of this run, and takes them from the kernel's
 * stack; everything else passes. One frame in `sample` goes to an AF_XDP socket, with the time of its arrival (in the
 * clock of the mark) in place of its link-layer addresses. */
#include "frame.h"

#define MAX_QUEUES 64

struct config {
	__u16 run;
	__u16 reserved;
	/* Every so many frames of a flow one is told of; 0: none. */
	__u32 sample;
};

struct counts {
	__u64 packets;
	__u64 bytes;
	/* CLOCK_MONOTONIC. */
	__u64 last_ns;
};

struct {
	MAP_UINT(type, BPF_MAP_TYPE_ARRAY);
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, struct config);
	MAP_UINT(max_entries, 1);
} config SEC(".maps");

struct {
	MAP_UINT(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, struct counts);
	MAP_UINT(max_entries, 1);
} counts SEC(".maps");

struct {
	MAP_UINT(type, BPF_MAP_TYPE_XSKMAP);
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, __u32);
	MAP_UINT(max_entries, MAX_QUEUES);
} xsks SEC(".maps");

INLINE __u16 read16(const __u8 *at)
{
	return be16(*(const __u16 *)at);
}

SEC("xdp") int catch(struct xdp_md *ctx)
{
	__u8 *data = (__u8 *)(long)ctx->data, *data_end = (__u8 *)(long)ctx->data_end, *l4, *mark;
	__u32 zero = 0;
	struct config *c;
	struct counts *n;
	__u8 protocol;

	if (data + ETHERNET_BYTES + IPV4_BYTES > data_end)
		return XDP_PASS;
	switch (read16(data + 12)) {
	case 0x0800:
		if (data[ETHERNET_BYTES] != 0x45)
			return XDP_PASS;
		protocol = data[ETHERNET_BYTES + 9];
		l4 = data + ETHERNET_BYTES + IPV4_BYTES;
		break;
	case 0x86dd:
		protocol = data[ETHERNET_BYTES + 6];
		l4 = data + ETHERNET_BYTES + IPV6_BYTES;
		break;
	default:
		return XDP_PASS;
	}
	if (protocol == 17)
		mark = l4 + UDP_BYTES;
	else if (protocol == 6)
		mark = l4 + TCP_BYTES;
	else
		return XDP_PASS;
	c = bpf_map_lookup_elem(&config, &zero);
	n = bpf_map_lookup_elem(&counts, &zero);
	if (!c || !n || mark + MARK_BYTES > data_end || read16(mark + MARK_MAGIC) != MAGIC ||
	    read16(mark + MARK_RUN) != c->run)
		return XDP_PASS;
	n->packets++;
	n->bytes += data_end - data;
	n->last_ns = bpf_ktime_get_ns();
	if (!c->sample || ((__u32)read16(mark + MARK_NUMBER) << 16 | read16(mark + MARK_NUMBER + 2)) % c->sample)
		return XDP_DROP;
	*(__u64 *)data = n->last_ns;
	return bpf_redirect_map(&xsks, ctx->rx_queue_index, XDP_DROP);
}

char _license[] SEC("license") = "Dual MIT/GPL";
