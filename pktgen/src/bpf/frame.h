/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/* What userspace and the two programs share: a flow's frame, and the mark in it. build/flow.rs and build/mark.rs have
 * the same. */
#ifndef PENSTOCK_FRAME_H
#define PENSTOCK_FRAME_H

#include "wire.h"

/* Ethernet, IPv6, TCP and a mark, rounded up. */
#define HEADER_BYTES 96

/* Kinds of a flow. */
enum { IS_V6 = 1, IS_TCP = 2, IS_MARKED = 4 };

/* The mark: what a frame says of itself, in network order, right behind the transport header. */
#define MARK_BYTES 18
#define MARK_MAGIC 0
#define MARK_RUN 2
#define MARK_TIME 4
#define MARK_FLOW 10
#define MARK_NUMBER 14
#define MAGIC 0x504b /* "PK" */

struct flow {
	/* Headers and mark with lengths, checksums, time and number left zero; zeros behind. */
	__u8 header[HEADER_BYTES];
	/* One's complement sums, in the order of the machine, of what is constant: IPv4's header, and the transport
	 * header with its pseudo-header and the mark. */
	__u32 ip_sum;
	__u32 l4_sum;
	/* The number of the flow's next frame. */
	__u32 number;
	__u32 kind;
};

#endif
