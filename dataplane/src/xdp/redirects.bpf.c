/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/* What becomes of redirected packets, which the classifier does not learn.
 *
 * In:   two tracepoints of the kernel: a device was given packets; or was not even asked, because it is down, the packet
 *       too long for it, or its driver without ndo_xdp_xmit.
 * Out:  counts by device, of those devices that userspace has put into the map.
 * Cost: one look-up for each up to 16 packets that are sent, and one for each packet that is refused.
 * Limits: needs the kernel's BTF. Generic XDP sends another way, and shows refusals only. */
#include "bpf.h"

#define KNOWN __attribute__((preserve_access_index))

/* As much of the kernel's structures as is read; the loader finds the places. */
struct ns_common {
	unsigned int inum;
} KNOWN;

struct net {
	struct ns_common ns;
} KNOWN;

typedef struct {
	struct net *net;
} possible_net_t;

struct net_device {
	int ifindex;
	possible_net_t nd_net;
} KNOWN;

/* A device by network namespace and index, or by the map that it is in and its place there; lane/redirects.rs has the
 * same. */
enum { BY_NAMESPACE, BY_MAP };

struct target {
	__u32 kind;
	__u32 where;
	__u32 number;
};

struct outcome {
	__u64 sent;
	__u64 refused;
	__u64 overrun;
};

struct {
	MAP_UINT(type, BPF_MAP_TYPE_HASH);
	MAP_UINT(map_flags, BPF_F_NO_PREALLOC);
	MAP_UINT(max_entries, 1024);
	MAP_TYPE(key, struct target);
	MAP_TYPE(value, struct outcome);
} redirects SEC(".maps");

INLINE void add(struct target *target, __u64 sent, __u64 refused, __u64 overrun)
{
	struct outcome *outcome = bpf_map_lookup_elem(&redirects, target);

	if (!outcome)
		return;
	if (sent)
		__sync_fetch_and_add(&outcome->sent, sent);
	if (refused)
		__sync_fetch_and_add(&outcome->refused, refused);
	if (overrun)
		__sync_fetch_and_add(&outcome->overrun, overrun);
}

/* xdp_devmap_xmit(from_dev, to_dev, sent, drops, err); without an error there was no room for the others. */
SEC("tp_btf/xdp_devmap_xmit")
int devmap_xmit(__u64 *arguments)
{
	struct net_device *to = (struct net_device *)arguments[1];
	struct target target = { BY_NAMESPACE, to->nd_net.net->ns.inum, to->ifindex };
	__u32 lost = arguments[3];

	if ((int)arguments[4] < 0)
		add(&target, (__u32)arguments[2], lost, 0);
	else
		add(&target, (__u32)arguments[2], 0, lost);
	return 0;
}

/* xdp_redirect_err(dev, xdp, tgt, err, map_type, map_id, index) */
SEC("tp_btf/xdp_redirect_err")
int redirect_err(__u64 *arguments)
{
	struct target target = { BY_MAP, arguments[5], arguments[6] };

	add(&target, 0, 1, 0);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
