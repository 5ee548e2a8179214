//! Why a packet could not be read.
//!
//! The error is small and `Copy`: it is made on the packet path, counted by its variant, and formatted only when a
//! person asks (`explain`, `replay`, a sampled log line).

use std::fmt;

/// The header a [`ParseError`] speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layer {
    /// Ethernet with its VLAN tags.
    Ethernet,
    /// ARP.
    Arp,
    /// The IPv4 header.
    Ipv4,
    /// The IPv6 header and its extension headers.
    Ipv6,
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
    /// ICMP for IPv4.
    Icmp,
    /// ICMPv6.
    Icmpv6,
    /// Neighbour discovery.
    Nd,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Layer::Ethernet => "Ethernet",
            Layer::Arp => "ARP",
            Layer::Ipv4 => "IPv4",
            Layer::Ipv6 => "IPv6",
            Layer::Tcp => "TCP",
            Layer::Udp => "UDP",
            Layer::Sctp => "SCTP",
            Layer::Icmp => "ICMP",
            Layer::Icmpv6 => "ICMPv6",
            Layer::Nd => "neighbour discovery",
        })
    }
}

/// The field a [`ParseError::BadField`] speaks of. Not a text, so that a result of a parser fits in two registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Field {
    /// The length of the addresses in ARP.
    AddressLength,
    /// The code of an ICMP message.
    Code,
    /// ARP's hardware type.
    HardwareType,
    /// ARP's operation.
    Operation,
    /// The length of an option.
    OptionLength,
    /// ARP's protocol type.
    ProtocolType,
    /// The address that neighbour discovery is about.
    Target,
    /// The type of an ICMP message.
    Type,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Field::AddressLength => "address length",
            Field::Code => "code",
            Field::HardwareType => "hardware type",
            Field::Operation => "operation",
            Field::OptionLength => "option length",
            Field::ProtocolType => "protocol type",
            Field::Target => "target address",
            Field::Type => "type",
        })
    }
}

/// Why a packet could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The packet ends inside the header.
    #[error("{layer}: the packet ends after {have} of at least {need} bytes")]
    Truncated {
        /// The header that is cut.
        layer: Layer,
        /// Bytes it needs at least.
        need: u16,
        /// Bytes there are.
        have: u16,
    },
    /// More VLAN tags than are supported.
    #[error("Ethernet: more than two VLAN tags")]
    TooManyTags,
    /// The version field does not say the family that the link layer said.
    #[error("{layer}: the version field says {found}")]
    BadVersion {
        /// The family expected.
        layer: Layer,
        /// The version found.
        found: u8,
    },
    /// The header length field is below the least length, or beyond the packet.
    #[error("{layer}: a header length of {bytes} bytes is impossible here")]
    BadHeaderLength {
        /// The header.
        layer: Layer,
        /// The length it states.
        bytes: u16,
    },
    /// The length field is less than the header, or more than what arrived.
    #[error("{layer}: the length field says {stated} bytes, {have} arrived")]
    BadTotalLength {
        /// The header.
        layer: Layer,
        /// The length it states.
        stated: u16,
        /// Bytes that arrived.
        have: u16,
    },
    /// The checksum is wrong.
    #[error("{layer}: the checksum is wrong")]
    BadChecksum {
        /// The header.
        layer: Layer,
    },
    /// A checksum is required and there is none (UDP over IPv6, RFC 8200 §8.1).
    #[error("{layer}: there is no checksum where one is required")]
    NoChecksum {
        /// The header.
        layer: Layer,
    },
    /// Too many extension headers, or in an impossible order.
    #[error("IPv6: the chain of extension headers is too long or out of order")]
    ExtensionChain,
    /// A jumbogram (RFC 2675), which is not supported.
    #[error("IPv6: jumbograms are not supported")]
    Jumbogram,
    /// A routing header with segments left: the destination is not the final one (RFC 5095, RFC 8754).
    #[error("IPv6: a routing header has segments left, which is not supported")]
    SourceRoute,
    /// A fragment whose offset and length cannot be part of a datagram.
    #[error("{layer}: the offset and length of this fragment are impossible")]
    BadFragment {
        /// The family.
        layer: Layer,
    },
    /// A field has a value that is not supported there.
    #[error("{layer}: the {field} field has a value that is not supported")]
    BadField {
        /// The header.
        layer: Layer,
        /// The field.
        field: Field,
    },
}

impl ParseError {
    /// A [`ParseError::Truncated`].
    #[cold]
    pub(super) const fn truncated(layer: Layer, need: usize, have: usize) -> ParseError {
        ParseError::Truncated { layer, need: super::bytes::short(need), have: super::bytes::short(have) }
    }

    /// The header this error is about.
    pub const fn layer(self) -> Layer {
        match self {
            ParseError::TooManyTags => Layer::Ethernet,
            ParseError::ExtensionChain | ParseError::Jumbogram | ParseError::SourceRoute => Layer::Ipv6,
            ParseError::Truncated { layer, .. }
            | ParseError::BadVersion { layer, .. }
            | ParseError::BadHeaderLength { layer, .. }
            | ParseError::BadTotalLength { layer, .. }
            | ParseError::BadChecksum { layer }
            | ParseError::NoChecksum { layer }
            | ParseError::BadFragment { layer }
            | ParseError::BadField { layer, .. } => layer,
        }
    }
}
