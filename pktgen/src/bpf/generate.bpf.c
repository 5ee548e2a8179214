/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/* The generator in the kernel: run by BPF_PROG_TEST_RUN with live frames, once for each frame of a page pool. It writes
 * the next frame of the traffic and sends it out of one interface, or gives the frame back when none is due: so the
 * pace, and the bound in time and count, are kept here, whatever becomes of the process.
 *
 * A frame comes back from the network as the network left it, so everything up to the end of the mark is written
 * anew. What is behind was zero when the page was made, and nobody on the way writes there.
 *
 * Limits: one thread runs an instance; nothing here is atomic. */
#include "frame.h"

#define MAX_SIZES 64
/* What may leave at once if the processor was somebody else's for a while: the queue of a veth. The rest of what is
 * then overdue is never sent, since a burst would be lost, and not by who is measured. */
#define MAX_OVERDUE 256

struct config {
	/* CLOCK_MONOTONIC. */
	__u64 start_ns;
	__u64 end_ns;
	__u64 packets;
	/* Frames a second; 0: as many as can be. */
	__u64 rate;
	/* The rate grows from nothing to `rate` in this time. */
	__u64 ramp_us;
	__u32 flows;
	__u32 sizes;
	__u32 ifindex;
	__u32 random;
	/* Without the frame check sequence, in the order they are sent. */
	__u16 size[MAX_SIZES];
};

struct progress {
	__u64 sent;
	__u64 bytes;
	/* Runs of the program. */
	__u64 turns;
	/* When the last frame left. */
	__u64 last_ns;
	/* Frames that were due, and left out. */
	__u64 left_out;
	__u32 next_flow;
	__u32 next_size;
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
	MAP_TYPE(value, struct progress);
	MAP_UINT(max_entries, 1);
} progress SEC(".maps");

/* As many as there are flows: set before loading. */
struct {
	MAP_UINT(type, BPF_MAP_TYPE_ARRAY);
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, struct flow);
	MAP_UINT(max_entries, 1);
} flows SEC(".maps");

static __u32 (*bpf_get_prandom_u32)(void) = (void *)BPF_FUNC_get_prandom_u32;

/* Frames that should have left by now: the integral of the rate. Rust keeps `ramp_us` and `rate` small enough. */
INLINE __u64 due(const struct config *config, __u64 elapsed_us)
{
	__u64 whole = config->rate * elapsed_us / 1000000;

	if (elapsed_us < config->ramp_us)
		return whole * elapsed_us / (2 * config->ramp_us) + 1;
	return whole - config->rate * config->ramp_us / 2000000 + 1;
}

INLINE void put16(__u8 *at, __u16 value)
{
	*(__u16 *)at = value;
}

/* Fills in what differs between the frames of a flow. `v6` and `tcp` are constants to the compiler. */
INLINE void write(__u8 *frame, struct flow *flow, __u16 size, __u64 now, int v6, int tcp)
{
	__u8 *l3 = frame + ETHERNET_BYTES, *l4 = l3 + (v6 ? IPV6_BYTES : IPV4_BYTES);
	__u8 *mark = l4 + (tcp ? TCP_BYTES : UDP_BYTES);
	__u16 l4_len = size - (l4 - frame), sum;
	__u64 total = flow->l4_sum + be16(l4_len);
	__u32 number = flow->number++, words[2] = {be16(number >> 16), be16(number)};
	__u16 time[3] = {be16(now >> 32), be16(now >> 16), be16(now)};

	if (v6) {
		put16(l3 + 4, be16(l4_len));
	} else {
		__u16 length = be16(size - ETHERNET_BYTES);

		put16(l3 + 2, length);
		put16(l3 + 10, ~fold((__u64)flow->ip_sum + length));
	}
	if (tcp) {
		put16(l4 + 4, words[0]);
		put16(l4 + 6, words[1]);
		total += words[0] + words[1];
	} else {
		put16(l4 + 4, be16(l4_len));
		total += be16(l4_len);
	}
	if (flow->kind & IS_MARKED) {
		put16(mark + MARK_TIME, time[0]);
		put16(mark + MARK_TIME + 2, time[1]);
		put16(mark + MARK_TIME + 4, time[2]);
		put16(mark + MARK_NUMBER, words[0]);
		put16(mark + MARK_NUMBER + 2, words[1]);
		total += (__u64)time[0] + time[1] + time[2] + words[0] + words[1];
	}
	sum = ~fold(total);
	if (tcp)
		put16(l4 + 16, sum);
	else
		put16(l4 + 6, sum ? sum : 0xffff);
}

SEC("xdp") int generate(struct xdp_md *ctx)
{
	__u8 *data = (__u8 *)(long)ctx->data, *data_end = (__u8 *)(long)ctx->data_end;
	__u32 zero = 0, at, turn;
	struct config *c = bpf_map_lookup_elem(&config, &zero);
	struct progress *p = bpf_map_lookup_elem(&progress, &zero);
	struct flow *flow;
	__u64 now = bpf_ktime_get_ns();
	__u16 size;

	if (!c || !p || data + HEADER_BYTES > data_end)
		return XDP_DROP;
	p->turns++;
	if (now < c->start_ns || now >= c->end_ns || p->sent >= c->packets)
		return XDP_DROP;
	if (c->rate) {
		__u64 total = due(c, (now - c->start_ns) / 1000), done = p->sent + p->left_out;

		if (done >= total)
			return XDP_DROP;
		if (total - done > MAX_OVERDUE)
			p->left_out += total - done - MAX_OVERDUE;
	}

	at = c->random ? bpf_get_prandom_u32() % c->flows : p->next_flow;
	p->next_flow = p->next_flow + 1 < c->flows ? p->next_flow + 1 : 0;
	/* A round of all flows begins with another size each time, so that no flow is tied to one. */
	turn = p->next_size;
	p->next_size = (turn + 1 + !p->next_flow) % c->sizes;
	size = c->size[turn & (MAX_SIZES - 1)];
	flow = bpf_map_lookup_elem(&flows, &at);
	if (!flow)
		return XDP_DROP;

#pragma unroll
	for (int i = 0; i < HEADER_BYTES; i += 8)
		*(__u64 *)(data + i) = *(__u64 *)(flow->header + i);
	switch (flow->kind & (IS_V6 | IS_TCP)) {
	case 0:
		write(data, flow, size, now, 0, 0);
		break;
	case IS_V6:
		write(data, flow, size, now, 1, 0);
		break;
	case IS_TCP:
		write(data, flow, size, now, 0, 1);
		break;
	default:
		write(data, flow, size, now, 1, 1);
	}
	if (data + size != data_end && bpf_xdp_adjust_tail(ctx, (int)size - (int)(data_end - data)))
		return XDP_DROP;
	p->sent++;
	p->bytes += size;
	p->last_ns = now;
	return bpf_redirect(c->ifindex, 0);
}

/* The helpers used are for everybody, but the kernel wants the word. */
char _license[] SEC("license") = "Dual MIT/GPL";
