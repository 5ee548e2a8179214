/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/* Two programs for the comparison with peers, neither of which translates anything. */
#include <linux/if_ether.h>
#include <linux/in.h>

#include "wire.h"

/* Where `forward` sends, and the link-layer addresses that frames leave with. */
struct way {
	__u8 macs[2 * ETH_ALEN];
};

struct {
	MAP_UINT(type, BPF_MAP_TYPE_DEVMAP);
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, __u32);
	MAP_UINT(max_entries, 1);
} ports SEC(".maps");

struct {
	MAP_UINT(type, BPF_MAP_TYPE_ARRAY);
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, struct way);
	MAP_UINT(max_entries, 1);
} ways SEC(".maps");

/* The bare redirect: what any translation in XDP is measured against. IPv4 only, so that ARP still works. */
SEC("xdp") int forward(struct xdp_md *ctx)
{
	__u8 *data = (__u8 *)(long)ctx->data, *data_end = (__u8 *)(long)ctx->data_end;
	__u32 zero = 0;
	struct way *way = bpf_map_lookup_elem(&ways, &zero);

	if (!way || data + sizeof(struct ethhdr) > data_end || be16(((struct ethhdr *)data)->h_proto) != ETH_P_IP)
		return XDP_PASS;
	__builtin_memcpy(data, way->macs, sizeof(way->macs));
	return bpf_redirect_map(&ports, 0, XDP_DROP);
}

INLINE void swap(__u8 *one, __u8 *other, int bytes)
{
	__u8 kept;

	for (int i = 0; i < bytes; i++) {
		kept = one[i];
		one[i] = other[i];
		other[i] = kept;
	}
}

/* Sends every UDP packet back to where it came from: so flows are answered at any rate. No checksum changes by it. Not by
 * XDP_TX, for which a veth wakes its other end only if that has an XDP program. */
SEC("xdp") int reflect(struct xdp_md *ctx)
{
	__u8 *data = (__u8 *)(long)ctx->data, *data_end = (__u8 *)(long)ctx->data_end;
	__u8 *ip = data + sizeof(struct ethhdr), *udp;

	if (ip > data_end)
		return XDP_PASS;
	switch (be16(((struct ethhdr *)data)->h_proto)) {
	case ETH_P_IP:
		udp = ip + IPV4_BYTES;
		if (udp + UDP_BYTES > data_end || ip[0] != 0x45 || ip[9] != IPPROTO_UDP)
			return XDP_PASS;
		swap(ip + 12, ip + 16, 4);
		break;
	case ETH_P_IPV6:
		udp = ip + IPV6_BYTES;
		if (udp + UDP_BYTES > data_end || ip[6] != IPPROTO_UDP)
			return XDP_PASS;
		swap(ip + 8, ip + 24, 16);
		break;
	default:
		return XDP_PASS;
	}
	swap(data, data + ETH_ALEN, ETH_ALEN);
	swap(udp, udp + 2, 2);
	return bpf_redirect(ctx->ingress_ifindex, 0);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
