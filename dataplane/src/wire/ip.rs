//! What the two IP families have in common once a header has been read.

use std::fmt;

/// An IP protocol number, in IPv6 the number of the upper layer behind the extension headers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct IpProtocol(pub u8);

impl IpProtocol {
    /// IPv6 hop-by-hop options.
    pub const HOP_BY_HOP: IpProtocol = IpProtocol(0);
    /// ICMP for IPv4.
    pub const ICMP: IpProtocol = IpProtocol(1);
    /// TCP.
    pub const TCP: IpProtocol = IpProtocol(6);
    /// UDP.
    pub const UDP: IpProtocol = IpProtocol(17);
    /// IPv6 routing header.
    pub const ROUTING: IpProtocol = IpProtocol(43);
    /// IPv6 fragment header.
    pub const FRAGMENT: IpProtocol = IpProtocol(44);
    /// Encapsulating security payload.
    pub const ESP: IpProtocol = IpProtocol(50);
    /// Authentication header.
    pub const AUTHENTICATION: IpProtocol = IpProtocol(51);
    /// ICMPv6.
    pub const ICMPV6: IpProtocol = IpProtocol(58);
    /// IPv6 with no upper layer.
    pub const NO_NEXT_HEADER: IpProtocol = IpProtocol(59);
    /// IPv6 destination options.
    pub const DESTINATION_OPTIONS: IpProtocol = IpProtocol(60);
    /// SCTP.
    pub const SCTP: IpProtocol = IpProtocol(132);

    /// Whether its header starts with a source and a destination port.
    #[inline]
    pub const fn has_ports(self) -> bool {
        matches!(self, IpProtocol::TCP | IpProtocol::UDP | IpProtocol::SCTP)
    }
}

impl fmt::Display for IpProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match *self {
            IpProtocol::TCP => "TCP",
            IpProtocol::UDP => "UDP",
            IpProtocol::SCTP => "SCTP",
            IpProtocol::ICMP => "ICMP",
            IpProtocol::ICMPV6 => "ICMPv6",
            IpProtocol(number) => return write!(f, "protocol {number}"),
        })
    }
}

impl serde::Serialize for IpProtocol {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The part a packet is of a fragmented datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fragment {
    /// The datagram's identification; 16 bits in IPv4.
    pub id: u32,
    /// Where this part starts.
    pub offset_bytes: u16,
    /// Whether parts follow.
    pub more: bool,
}

impl Fragment {
    /// Whether this is the part with the upper layer's header.
    #[inline]
    pub const fn is_first(self) -> bool {
        self.offset_bytes == 0
    }

    /// Whether a part of `len` bytes can be: parts before the last are whole multiples of 8 and not empty, and no
    /// part reaches beyond the largest datagram (RFC 791, RFC 8200 §4.5).
    #[inline]
    pub(super) const fn is_possible(self, len: usize) -> bool {
        let aligned = !self.more || (len > 0 && len.is_multiple_of(8));
        aligned && self.offset_bytes as usize + len <= u16::MAX as usize
    }
}

/// What a parsed network header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NetworkHeader {
    /// Where the upper layer starts, counted from the start of the network header; options and extension headers are
    /// before it.
    pub header_len: u16,
    /// Bytes of the packet, header included and padding of the link layer excluded.
    pub total_len: u16,
    /// The upper layer. In a later IPv6 fragment, what the fragment header says follows.
    pub protocol: IpProtocol,
    /// Which part of a datagram this is; `None` for a whole one, also if it is an IPv6 "atomic fragment" (RFC 6946).
    pub fragment: Option<Fragment>,
    /// IPv4's DF bit; always true in IPv6.
    pub dont_fragment: bool,
    /// Whether there are IPv4 options, or IPv6 extension headers other than a fragment header.
    pub has_options: bool,
    /// TTL or hop limit.
    pub hop_limit: u8,
}

impl NetworkHeader {
    /// The upper layer of the packet this was parsed from, without padding; shorter if it is a quote cut off by ICMP.
    #[inline]
    pub fn upper_layer<'a>(&self, l3: &'a [u8]) -> &'a [u8] {
        let end = usize::from(self.total_len).min(l3.len());
        l3.get(usize::from(self.header_len)..end).unwrap_or_default()
    }

    /// Bytes of the upper layer in this packet.
    #[inline]
    pub const fn upper_len(&self) -> u16 {
        self.total_len.saturating_sub(self.header_len)
    }

    /// Whether the upper layer's header is to be found here: it is not in a later fragment.
    #[inline]
    pub const fn has_upper_header(&self) -> bool {
        match self.fragment {
            Some(fragment) => fragment.is_first(),
            None => true,
        }
    }
}
