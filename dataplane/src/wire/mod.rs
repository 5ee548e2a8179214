//! Bytes and nothing else: header views, addresses and checksums.
//!
//! A `parse` looks at a slice once and either says what is wrong with it or returns a view whose accessors cannot
//! fail. Each file names the offsets of its header in a private `mod field`; no offset is written anywhere outside
//! this folder. Nothing here allocates, and nothing here knows flows, services or configuration.
//!
//! Code for both IP families is written once against the sealed trait [`Family`], for [`V4`] and [`V6`].
//!
//! Functions that take a packet as a plain `&mut [u8]` (the setters) are for bytes that have passed the parser of the
//! same header: they index, and a shorter slice is a defect of the caller. What may also be called on the shortened
//! packets quoted by ICMP errors says so, and does nothing where the field is missing.

mod bytes;
mod error;
mod checksum;
mod ethernet;
mod arp;
mod ip;
mod family;
mod ipv4;
mod ipv6;
mod ports;
mod plain;
mod tcp;
mod tcp_options;
mod udp;
mod sctp;
mod crc32c;
mod icmp;
mod icmpv6;
mod nd;

pub use arp::{Arp, ArpOperation};
pub use checksum::{Checksum, Delta, Sum};
pub use crc32c::{Crc32c, crc32c};
pub use error::{Field, Layer, ParseError};
pub use ethernet::{
    EtherAddr, EtherAddrParseError, EtherType, Ethernet, VlanTag, VlanTags, destination, set_addresses,
    set_destination, set_source, source, write_tags,
};
pub use family::{Family, V4, V6};
pub use icmp::{Icmp, IcmpError, IcmpKind, IcmpMessage};
pub use icmpv6::Icmpv6;
pub use ip::{Fragment, IpProtocol, NetworkHeader};
pub use nd::{ND_HOP_LIMIT, NeighbourAdvertisement, NeighbourSolicitation, solicited_node};
pub use plain::{Leaving, Plain, acknowledgement};
pub use ports::{PortsAndFlags, apply_checksum, ports, ports_and_flags, set_ports, translate_ports};
pub use sctp::{Sctp, SctpChunk, SctpChunks};
pub use tcp::{Tcp, TcpFlags};
pub use tcp_options::{TcpOption, TcpOptions};
pub use udp::Udp;

#[cfg(test)]
mod tests;
