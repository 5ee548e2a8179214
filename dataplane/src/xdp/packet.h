/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/* Reading packets: every access is checked against the packet's end, every place is a number of bytes from its start
 * (a pointer would have to be carried, checked, through each path the verifier follows). */
#ifndef PENSTOCK_PACKET_H
#define PENSTOCK_PACKET_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

#include "bpf.h"

#define VLAN_TAGS 2
#define EXTENSION_HEADERS 8

struct vlan_tag {
	__be16 tag;
	__be16 type;
};

/* What stands behind the IP header and its extensions, `at` bytes into the packet. */
struct payload {
	__u32 at;
	__u32 id;
	__u8 protocol;
	__u8 fragmented;
	__u8 later; /* a fragment, and not the first: no transport header */
};

/* Both ends of the frame. They are loaded where the compiler does not see it: to it they are numbers of 32 bits, and it
 * keeps no more of them where paths meet or where they are only subtracted, but a half of a pointer is none. */
INLINE void *frame_start(struct xdp_md *ctx)
{
	void *start;

	asm volatile("%0 = *(u32 *)(%1 + %2)" : "=r"(start) : "r"(ctx), "i"(__builtin_offsetof(struct xdp_md, data)));
	return start;
}

INLINE void *frame_end(struct xdp_md *ctx)
{
	void *end;

	asm volatile("%0 = *(u32 *)(%1 + %2)" : "=r"(end) : "r"(ctx), "i"(__builtin_offsetof(struct xdp_md, data_end)));
	return end;
}

/* `length` bytes at `at`, or null if they aren't all there. The mask tells the verifier what no packet exceeds. */
INLINE void *bytes(struct xdp_md *ctx, __u32 at, __u32 length)
{
	void *start = frame_start(ctx) + (at & 0x7fff);

	return start + length <= frame_end(ctx) ? start : 0;
}

/* The payload of the IPv4 header at `at`; null if the header is not whole. */
INLINE struct iphdr *open4(struct xdp_md *ctx, __u32 at, struct payload *payload)
{
	struct iphdr *ip = bytes(ctx, at, sizeof(*ip));
	__u16 fragment;

	if (!ip || ip->version != 4 || ip->ihl < 5)
		return 0;
	fragment = be16(ip->frag_off);
	payload->at = at + ip->ihl * 4;
	payload->id = ip->id;
	payload->protocol = ip->protocol;
	payload->fragmented = (fragment & 0x3fff) != 0;
	payload->later = (fragment & 0x1fff) != 0;
	return bytes(ctx, at, sizeof(*ip));
}

INLINE int is_extension(__u8 protocol)
{
	return protocol == IPPROTO_HOPOPTS || protocol == IPPROTO_ROUTING || protocol == IPPROTO_DSTOPTS ||
	       protocol == IPPROTO_FRAGMENT;
}

/* Walks the IPv6 extension headers from `at`, the first of which is a `protocol`. Where they are cut short or too
 * many, the protocol found is that of the first one not read.
 *
 * The answer is a number: the place and the protocol of the payload, and the place of the fragment header or 0. As
 * a function of its own it is verified once, instead of once for each path that leads to it: 6 thousand steps of
 * the verifier in all, instead of more than the million it allows. */
#define WALKED(at, protocol, fragment) ((__u64)(at) | (__u64)(protocol) << 16 | (__u64)(fragment) << 32)
#define WALKED_AT(walked) ((__u32)(walked) & 0xffff)
#define WALKED_PROTOCOL(walked) ((__u8)((walked) >> 16))
#define WALKED_FRAGMENT(walked) ((__u32)((walked) >> 32))

struct extension {
	__u8 next;
	__u8 length;
	__be16 fragment;
	__be32 id;
};

__attribute__((noinline)) __u64 walk6(struct xdp_md *ctx, __u32 at, __u32 protocol)
{
	__u32 fragment = 0;

	for (int i = 0; i < EXTENSION_HEADERS; i++) {
		struct extension *extension = bytes(ctx, at, sizeof(*extension));

		if (!is_extension(protocol) || !extension)
			break;
		if (protocol == IPPROTO_FRAGMENT) {
			fragment = at & 0x7fff;
			at += 8;
			protocol = extension->next;
			if (be16(extension->fragment) & 0xfff8)
				break;
		} else {
			at += 8 * (extension->length + 1);
			protocol = extension->next;
		}
	}
	return WALKED(at & 0x7fff, protocol & 0xff, fragment);
}

/* The payload of the IPv6 header at `at`; null if the header is not whole. */
INLINE struct ipv6hdr *open6(struct xdp_md *ctx, __u32 at, struct payload *payload)
{
	struct ipv6hdr *ip = bytes(ctx, at, sizeof(*ip));
	struct extension *extension;
	__u64 walked;

	if (!ip || ip->version != 6)
		return 0;
	payload->at = at + sizeof(*ip);
	payload->id = 0;
	payload->protocol = ip->nexthdr;
	payload->fragmented = 0;
	payload->later = 0;
	if (!is_extension(payload->protocol))
		return ip;
	walked = walk6(ctx, payload->at, payload->protocol);
	/* Of a function of its own the verifier knows nothing: the compiler is not to know better. */
	OPAQUE(walked);
	payload->at = WALKED_AT(walked);
	payload->protocol = WALKED_PROTOCOL(walked);
	if (WALKED_FRAGMENT(walked)) {
		extension = bytes(ctx, WALKED_FRAGMENT(walked), sizeof(*extension));
		if (extension) {
			payload->id = extension->id;
			payload->fragmented = (be16(extension->fragment) & 0xfff9) != 0;
			payload->later = (be16(extension->fragment) & 0xfff8) != 0;
		}
	}
	return bytes(ctx, at, sizeof(*ip));
}

/* The ports, which TCP, UDP and SCTP have in the same place. */
struct ports {
	__be16 source;
	__be16 destination;
};

#endif
