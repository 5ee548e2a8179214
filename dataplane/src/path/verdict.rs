//! How a packet leaves the path: a closed set. Every packet gets exactly one verdict, and every verdict has a counter.

use crate::{io::PortId, state::Place};
use serde::Serialize;

/// What becomes of a packet. (Most of what is not ours never comes here: the classifier leaves it to the kernel.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Translated: send the frame on this port.
    Forward(PortId),
    /// Another gateway's, from which the address has come: send the frame on this port, as it came but for its MACs.
    Relay(PortId),
    /// The frame now holds our answer: send it on this port.
    Reply(PortId, ReplyKind),
    /// Translated, but longer than the way takes: cut it into fragments of so many bytes and send them on this port.
    Split(PortId, u16),
    /// Cannot be translated yet: keep it in this place until [`Path::release`](super::Path::release) names it, then
    /// process it again.
    Hold(Place),
    /// Another worker's: give it this frame.
    Handoff(u16),
    /// Not ours after all: give it back to the kernel, as it came.
    Pass,
    /// Drop it.
    Drop(DropReason),
}

macro_rules! counted {
    ($(#[$meta:meta])* $name:ident { $($(#[doc = $doc:literal])+ $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[repr(u8)]
        pub enum $name { $($(#[doc = $doc])+ $variant,)+ }

        impl $name {
            /// All of them, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name in counters and listings.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// What it means, for people.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+),)+ }
            }
        }
    };
}

counted! {
    /// Why a packet was dropped.
    DropReason {
        /// Neither IPv4 nor IPv6.
        NotIp = "not_ip",
        /// Shorter than its headers, or a header that contradicts itself.
        Malformed = "malformed",
        /// The IPv4 header checksum is wrong.
        HeaderChecksum = "header_checksum",
        /// An IPv6 UDP datagram without a checksum (RFC 8200 §8.1).
        UdpChecksumMissing = "udp_checksum_missing",
        /// A fragment of SCTP or ICMP, whose checksum takes the whole.
        Fragment = "fragment",
        /// A first fragment that does not hold the whole transport header.
        FragmentTiny = "fragment_tiny",
        /// A later fragment that reaches into the first.
        FragmentOverlap = "fragment_overlap",
        /// A later fragment whose first did not come in time, or was not forwarded.
        FragmentLost = "fragment_lost",
        /// A fragment that came before its first, while too many others wait for theirs.
        FragmentsFull = "fragments_full",
        /// A source that no host can have: unspecified, multicast, broadcast, loopback, a VIP's served port, its own
        /// destination, or of a new flow a group's link address at either end.
        Martian = "martian",
        /// A protocol that is neither TCP, UDP, SCTP nor ICMP.
        Protocol = "protocol",
        /// A TCP segment that its connection's state forbids, with illegal flags, or a reset its receiver would not take.
        TcpInvalid = "tcp_invalid",
        /// An SCTP packet without a chunk, with a verification tag it must not have, or that opens no association.
        SctpInvalid = "sctp_invalid",
        /// To an address and port of ours for masquerading, but of no flow.
        NoService = "no_service",
        /// To an address in the range of Service addresses that no Service has.
        Unallocated = "unallocated",
        /// The source is outside loadBalancerSourceRanges.
        SourceRange = "source_range",
        /// The policy is Local and this node has no endpoint, though others have.
        NoLocalEndpoint = "no_local_endpoint",
        /// The backend's route or neighbour is not known yet.
        NextHop = "next_hop",
        /// The egress interface has no address of the family to masquerade with.
        NoSnatAddress = "no_snat_address",
        /// Every SNAT port to this backend is taken.
        SnatExhausted = "snat_exhausted",
        /// The flow table is full of flows in use.
        TableFull = "table_full",
        /// Clients come from more link-layer addresses than can be kept.
        LastHopsFull = "last_hops_full",
        /// An answer was due, but answers are rate-limited.
        ReplyLimited = "reply_limited",
        /// An answer was due, but must not be sent to this packet, or found no room.
        ReplyForbidden = "reply_forbidden",
        /// An ICMP error about no flow of ours.
        IcmpUnrelated = "icmp_unrelated",
        /// An ICMP message with a wrong checksum or a quotation too short to translate.
        IcmpMalformed = "icmp_malformed",
        /// An ICMP message that is neither an error nor an echo request to be answered.
        IcmpQuery = "icmp_query",
        /// Longer than the MTU of the way out or than its frame has room for, and may be fragmented only by others.
        TooBig = "too_big",
    }
}

counted! {
    /// Answers of our own.
    ReplyKind {
        /// A TCP reset.
        Reset = "tcp_reset",
        /// ICMP port unreachable.
        PortUnreachable = "port_unreachable",
        /// ICMP time exceeded.
        TimeExceeded = "time_exceeded",
        /// ICMP fragmentation needed, ICMPv6 packet too big.
        TooBig = "packet_too_big",
        /// An echo reply.
        Echo = "echo_reply",
    }
}
