/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/* Is this packet ours?
 *
 * In:   every packet that arrives on an interface, before the kernel's stack.
 * Out:  ours -> the AF_XDP socket of its interface and queue; dropped where none is bound, because a restart must
 *       not make the kernel answer for a VIP. Everything else -> the kernel, untouched. One counter a verdict.
 *       Before any of that: of a flow in the fast lane -> rewritten, and out of another interface (lane.bpf.h).
 * Cost: at most nine map look-ups. The usual packet to a VIP takes four: interface, address, socket, counter.
 * RFCs: 791 and 8200 (fragments, extension headers), 792 and 4443 (what an ICMP error quotes), 4861 (ND).
 * Limits: two VLAN tags, eight extension headers. A later fragment to a node address that overtakes its first one
 *       goes to the kernel. Nothing is validated beyond what the decision needs: that is the dataplane's job.
 *
 * The decision, in the order it is taken:
 *   1. destination is a VIP, or has no role but is in a range of Service addresses: ours, whatever protocol, port or
 *      fragment; but neighbour discovery is the kernel's.
 *   2. the interface is a backend one, the source a backend that sees client addresses and a port that backends serve
 *      on, the destination none of our own (a backend may well talk to the node itself) and one host's: ours. What
 *      is no answer of a Service nevertheless is given back by the dataplane, at some cost, so the fewer the better.
 *   3. destination is a node or SNAT address:
 *      a. TCP, UDP, SCTP to a port of ours: NodePort or SNAT range (any port of an address only used for SNAT);
 *      b. an ICMP error that quotes a packet sent from such a port;
 *      c. a later fragment whose first one was ours.
 *   4. the interface is a backend one: an ICMP error that quotes a packet sent to such a backend.
 */
#include <linux/icmpv6.h>

#include "bpf.h"
#include "maps.h"
#include "packet.h"
#include "lane.bpf.h"

/* ICMP's header (RFC 792), of which linux/icmp.h has a name for each use. That one includes the C library's headers for
 * a processor of 32 bits, which few machines have. */
struct icmp_header {
	__u8 type;
	__u8 code;
	__be16 checksum;
	__be32 rest;
};

enum { ICMP_DEST_UNREACH = 3, ICMP_TIME_EXCEEDED = 11, ICMP_PARAMETERPROB = 12 };

/* Linux reassembles for 30 s: after that, an identification means another packet. */
#define FRAGMENT_LIFETIME_NS 30000000000ULL

INLINE void count(enum verdict verdict)
{
	__u32 key = verdict;
	__u64 *counter = bpf_map_lookup_elem(&counters, &key);

	if (counter)
		*counter += 1;
}

INLINE __u32 roles4(__be32 address)
{
	__u32 *roles = bpf_map_lookup_elem(&addresses4, &address);

	return roles ? *roles : 0;
}

/* The key is copied to the stack, where the helper wants it. */
INLINE __u32 roles6(const void *address)
{
	struct in6_addr key;
	__u32 *roles;

	__builtin_memcpy(&key, address, sizeof(key));
	roles = bpf_map_lookup_elem(&addresses6, &key);

	return roles ? *roles : 0;
}

/* Of a destination: one without a role may be in a range of Service addresses. */
INLINE __u32 destination_roles4(__be32 address)
{
	struct range4 range = { 32, address };
	__u32 roles = roles4(address);
	__u32 *in_range;

	if (roles)
		return roles;
	in_range = bpf_map_lookup_elem(&ranges4, &range);
	return in_range ? *in_range : 0;
}

INLINE __u32 destination_roles6(const void *address)
{
	struct range6 range = {};
	__u32 roles = roles6(address);
	__u32 *in_range;

	if (roles)
		return roles;
	range.bits = 128;
	__builtin_memcpy(&range.address, address, sizeof(range.address));
	in_range = bpf_map_lookup_elem(&ranges6, &range);
	return in_range ? *in_range : 0;
}

INLINE int has_ports(__u8 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP;
}

/* Is this port of a protocol that has ports in the list? */
INLINE int is_listed(enum port_list list, int v6, __u8 protocol, __u16 port)
{
	__u32 word = (2 * list + v6) * FAMILY_WORDS + port / 64;
	__u64 *bits;

	word += protocol == IPPROTO_TCP ? 0 : protocol == IPPROTO_UDP ? PORT_WORDS : 2 * PORT_WORDS;
	bits = bpf_map_lookup_elem(&ports, &word);
	return bits && *bits >> (port % 64) & 1;
}

/* Whose is this port of an address with these roles? */
INLINE enum verdict judge_port(__u32 roles, int v6, __u8 protocol, __be16 port_be)
{
	__u16 port = be16(port_be);
	__u32 zero = 0;
	struct config *range;

	if (!has_ports(protocol))
		return PASS_NOT_OURS;
	if (!(roles & NODE))
		return roles & SNAT ? REDIRECT_SNAT : PASS_NOT_OURS;
	range = bpf_map_lookup_elem(&config, &zero);
	if (range && port >= range->snat_first && port <= range->snat_last)
		return REDIRECT_SNAT;
	return is_listed(NODE_PORTS, v6, protocol, port) ? REDIRECT_NODE_PORT : PASS_NOT_OURS;
}

/* May a backend's packet be an answer to a client whose address it sees? Later fragments may. A function of its own
 * for the verifier's sake: see walk6. */
__attribute__((noinline)) int may_answer(struct xdp_md *ctx, __u32 at, __u32 protocol, __u32 v6)
{
	struct ports *ports = bytes(ctx, at, sizeof(*ports));

	return ports && has_ports(protocol) && is_listed(BACKEND_PORTS, v6 & 1, protocol, be16(ports->source));
}

INLINE enum verdict judge_transport(struct xdp_md *ctx, __u32 roles, int v6, struct payload *payload)
{
	struct ports *ports = bytes(ctx, payload->at, sizeof(*ports));

	return ports ? judge_port(roles, v6, payload->protocol, ports->destination) : PASS_MALFORMED;
}

/* Did the packet that an ICMP error quotes leave from a port of ours, or go to a backend? */
INLINE enum verdict judge_quoted(struct xdp_md *ctx, struct payload *quoted, int v6, __u32 source,
				 __u32 destination)
{
	struct ports *ports;

	if (destination & BACKEND || source & VIP)
		return REDIRECT_ICMP_ERROR;
	if (quoted->later)
		return PASS_NOT_OURS;
	ports = bytes(ctx, quoted->at, sizeof(*ports));
	if (!ports)
		return PASS_MALFORMED;
	if (judge_port(source, v6, quoted->protocol, ports->source) != PASS_NOT_OURS)
		return REDIRECT_ICMP_ERROR;
	return PASS_NOT_OURS;
}

/* These two are functions of their own for the verifier's sake: see walk6. */
__attribute__((noinline)) int judge_icmp4(struct xdp_md *ctx, __u32 at, __u32 backend)
{
	struct icmp_header *icmp = bytes(ctx, at, sizeof(*icmp));
	struct payload quoted;
	struct iphdr *ip;

	if (!icmp)
		return PASS_MALFORMED;
	if (icmp->type != ICMP_DEST_UNREACH && icmp->type != ICMP_TIME_EXCEEDED &&
	    icmp->type != ICMP_PARAMETERPROB)
		return PASS_NOT_OURS;
	ip = open4(ctx, at + sizeof(*icmp), &quoted);
	if (!ip)
		return PASS_MALFORMED;
	return judge_quoted(ctx, &quoted, 0, roles4(ip->saddr), backend ? roles4(ip->daddr) : 0);
}

__attribute__((noinline)) int judge_icmp6(struct xdp_md *ctx, __u32 at, __u32 backend)
{
	struct icmp6hdr *icmp = bytes(ctx, at, sizeof(*icmp));
	struct payload quoted;
	struct ipv6hdr *ip;

	if (!icmp)
		return PASS_MALFORMED;
	if (icmp->icmp6_type < ICMPV6_DEST_UNREACH || icmp->icmp6_type > ICMPV6_PARAMPROB)
		return PASS_NOT_OURS;
	ip = open6(ctx, at + sizeof(*icmp), &quoted);
	if (!ip)
		return PASS_MALFORMED;
	return judge_quoted(ctx, &quoted, 1, roles6(&ip->saddr), backend ? roles6(&ip->daddr) : 0);
}

INLINE int is_neighbour_discovery(struct xdp_md *ctx, struct payload *payload)
{
	struct icmp6hdr *icmp;

	if (payload->protocol != IPPROTO_ICMPV6 || payload->later)
		return 0;
	icmp = bytes(ctx, payload->at, sizeof(*icmp));
	return icmp && icmp->icmp6_type >= 133 && icmp->icmp6_type <= 137;
}

/* A later fragment has no port: it follows its first one. */
INLINE enum verdict judge_later(struct datagram *datagram)
{
	__u64 *seen = bpf_map_lookup_elem(&fragments, datagram);

	if (seen && bpf_ktime_get_ns() - *seen < FRAGMENT_LIFETIME_NS)
		return REDIRECT_FRAGMENT;
	return PASS_NOT_OURS;
}

INLINE void remember_first(struct datagram *datagram, enum verdict verdict)
{
	__u64 now;

	if (verdict >= REDIRECT_VIP) {
		now = bpf_ktime_get_ns();
		bpf_map_update_elem(&fragments, datagram, &now, BPF_ANY);
	} else {
		/* The identification may have been one of ours before. */
		bpf_map_delete_elem(&fragments, datagram);
	}
}

/* Steps 3 and 4, which the families share but for ICMP. */
INLINE enum verdict judge_local(struct xdp_md *ctx, struct payload *payload, __u32 to, int backend,
				struct datagram *datagram, int v6)
{
	int local = (to & (NODE | SNAT)) != 0;
	enum verdict verdict = PASS_NOT_OURS;

	if (payload->protocol == (v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP)) {
		if (payload->later)
			return local ? judge_later(datagram) : PASS_NOT_OURS;
		if (local || backend)
			verdict = v6 ? judge_icmp6(ctx, payload->at, backend) : judge_icmp4(ctx, payload->at, backend);
	} else if (to & NODE) {
		if (payload->later)
			return judge_later(datagram);
		if (payload->protocol == IPPROTO_TCP || payload->protocol == IPPROTO_UDP ||
		    payload->protocol == IPPROTO_SCTP)
			verdict = judge_transport(ctx, to, v6, payload);
	} else if (to & SNAT) {
		/* An address used for SNAT only: the port doesn't matter. */
		return judge_port(to, v6, payload->protocol, 0);
	}
	if (payload->fragmented && local)
		remember_first(datagram, verdict);
	return verdict;
}

INLINE enum verdict judge4(struct xdp_md *ctx, __u32 at, int backend)
{
	struct datagram datagram = {};
	struct payload payload;
	struct iphdr *ip = open4(ctx, at, &payload);
	__u32 to;

	if (!ip)
		return PASS_MALFORMED;
	datagram.source[0] = ip->saddr;
	datagram.destination[0] = ip->daddr;
	datagram.id = payload.id;
	datagram.protocol = payload.protocol;
	to = destination_roles4(ip->daddr);
	if (to & VIP)
		return REDIRECT_VIP;
	if (backend && !(to & (NODE | SNAT)) && *(__u8 *)datagram.destination < 224 &&
	    roles4(datagram.source[0]) & BACKEND &&
	    (payload.later ? has_ports(payload.protocol) : may_answer(ctx, payload.at, payload.protocol, 0)))
		return REDIRECT_BACKEND;
	return judge_local(ctx, &payload, to, backend, &datagram, 0);
}

INLINE enum verdict judge6(struct xdp_md *ctx, __u32 at, int backend)
{
	struct datagram datagram = {};
	struct payload payload;
	struct ipv6hdr *ip = open6(ctx, at, &payload);
	__u32 to;

	if (!ip)
		return PASS_MALFORMED;
	__builtin_memcpy(datagram.source, &ip->saddr, 16);
	__builtin_memcpy(datagram.destination, &ip->daddr, 16);
	datagram.id = payload.id;
	if (is_neighbour_discovery(ctx, &payload))
		return PASS_NEIGHBOUR;
	to = destination_roles6(datagram.destination);
	if (to & VIP)
		return REDIRECT_VIP;
	if (backend && !(to & (NODE | SNAT)) && *(__u8 *)datagram.destination != 0xff &&
	    roles6(datagram.source) & BACKEND &&
	    (payload.later ? has_ports(payload.protocol) : may_answer(ctx, payload.at, payload.protocol, 1)))
		return REDIRECT_BACKEND;
	return judge_local(ctx, &payload, to, backend, &datagram, 1);
}

/* Steps over the tags, to the type of what follows them and its place; CUT_SHORT: they are not all there. */
#define CUT_SHORT (-1)

INLINE int open_ethernet(struct xdp_md *ctx, __u32 *at)
{
	struct ethhdr *ethernet = bytes(ctx, 0, sizeof(*ethernet));
	struct vlan_tag *vlan;
	__be16 type;

	if (!ethernet)
		return CUT_SHORT;
	type = ethernet->h_proto;
	*at = sizeof(*ethernet);
	for (int i = 0; i < VLAN_TAGS; i++) {
		if (be16(type) != ETH_P_8021Q && be16(type) != ETH_P_8021AD)
			break;
		vlan = bytes(ctx, *at, sizeof(*vlan));
		if (!vlan)
			return CUT_SHORT;
		type = vlan->type;
		*at += sizeof(*vlan);
	}
	return be16(type);
}

/* `type` is that of what is `at` bytes into the frame. */
INLINE enum verdict judge(struct xdp_md *ctx, int type, __u32 at, struct interface *interface)
{
	int backend = interface->flags & BACKEND_ROLE;

	switch (type) {
	case ETH_P_IP:
		return judge4(ctx, at, backend);
	case ETH_P_IPV6:
		return judge6(ctx, at, backend);
	case CUT_SHORT:
		return PASS_MALFORMED;
	default:
		return PASS_NOT_IP;
	}
}

INLINE int takes_lane(struct xdp_md *ctx, int type, __u32 at)
{
	return (type == ETH_P_IP && lane4(ctx, at)) || (type == ETH_P_IPV6 && lane6(ctx, at));
}

SEC("xdp")
int classify(struct xdp_md *ctx)
{
	__u32 ifindex = ctx->ingress_ifindex, queue = ctx->rx_queue_index, at = 0;
	enum verdict verdict = PASS_UNKNOWN_INTERFACE;
	int type = open_ethernet(ctx, &at), action = XDP_PASS;
	struct interface *interface;

	if (takes_lane(ctx, type, at)) {
		count(REDIRECT_LANE);
		return XDP_REDIRECT;
	}
	interface = bpf_map_lookup_elem(&interfaces, &ifindex);
	if (interface)
		verdict = judge(ctx, type, at, interface);
	if (verdict >= REDIRECT_VIP) {
		action = XDP_DROP;
		/* The helper answers XDP_DROP where no socket is bound. */
		if (queue < QUEUES_PER_SLOT)
			action = bpf_redirect_map(&xsks, interface->slot * QUEUES_PER_SLOT + queue, XDP_DROP);
		if (action != XDP_REDIRECT)
			verdict = DROP_NO_SOCKET;
	}
	count(verdict);
	return action;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
