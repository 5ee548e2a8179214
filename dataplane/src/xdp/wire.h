/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/* Lengths of headers, and sums of what is in them (RFC 1071): for all programs here, and those of pktgen and benches. */
#ifndef PENSTOCK_WIRE_H
#define PENSTOCK_WIRE_H

#include "bpf.h"

#define ETHERNET_BYTES 14
#define IPV4_BYTES 20
#define IPV6_BYTES 40
#define UDP_BYTES 8
#define TCP_BYTES 20

/* A one's complement sum in 16 bits. */
INLINE __u16 fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* Of an IPv4 or a TCP header without options: both are five words, and sums of 32 bits fold to those of 16 (§2). */
INLINE __u64 sum_of(const void *header)
{
	const __u32 *words = header;

	return (__u64)words[0] + words[1] + words[2] + words[3] + words[4];
}

#endif
