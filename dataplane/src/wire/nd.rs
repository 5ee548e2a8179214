//! Neighbour solicitations and advertisements (RFC 4861 §4.3, §4.4, §7.1), read and written.
//!
//! In: an ICMPv6 message from its type on, with its checksum verified by [`Icmpv6`]. The caller also checks what is
//! not in the message: the hop limit must be [`ND_HOP_LIMIT`], which proves that no router forwarded it, and a
//! solicitation from the unspecified address (duplicate address detection) must have gone to a solicited-node address.
//! Out: the fields by value. The writers leave a complete message, checksum included.
//! Limits: of the options only the link-layer address is read.

use std::net::Ipv6Addr;

use super::bytes::{array, put};
use super::{EtherAddr, Family, Field, Icmpv6, Layer, ParseError, V6};

/// The hop limit that every message of neighbour discovery has.
pub const ND_HOP_LIMIT: u8 = 255;

mod field {
    pub(super) const TYPE: usize = 0;
    pub(super) const CODE: usize = 1;
    pub(super) const FLAGS: usize = 4;
    pub(super) const TARGET: usize = 8;
    /// Bytes without options.
    pub(super) const LEN: usize = 24;

    pub(super) const ROUTER: u8 = 0x80;
    pub(super) const SOLICITED: u8 = 0x40;
    pub(super) const OVERRIDE: u8 = 0x20;

    pub(super) mod option {
        pub(in super::super) const KIND: usize = 0;
        /// In units of 8 bytes, kind and length included.
        pub(in super::super) const LENGTH: usize = 1;
        pub(in super::super) const UNIT: usize = 8;
        pub(in super::super) const ETHER: usize = 2;
        pub(in super::super) const SOURCE_LINK: u8 = 1;
        pub(in super::super) const TARGET_LINK: u8 = 2;
    }
}

mod number {
    pub(super) const SOLICITATION: u8 = 135;
    pub(super) const ADVERTISEMENT: u8 = 136;
}

/// Who has `target`?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NeighbourSolicitation {
    /// The address asked for.
    pub target: Ipv6Addr,
    /// The asker's link-layer address.
    pub source_ether: Option<EtherAddr>,
}

/// Who has `target`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NeighbourAdvertisement {
    /// The address spoken of.
    pub target: Ipv6Addr,
    /// The sender is a router.
    pub router: bool,
    /// It answers a solicitation.
    pub solicited: bool,
    /// It replaces what is known.
    pub replace: bool,
    /// The link-layer address of the target.
    pub target_ether: Option<EtherAddr>,
}

impl NeighbourSolicitation {
    /// The longest message written.
    pub const MAX_LEN: usize = field::LEN + field::option::UNIT;

    /// Reads a solicitation.
    pub fn parse(l4: &[u8]) -> Result<NeighbourSolicitation, ParseError> {
        let (header, source_ether) = read(l4, number::SOLICITATION, field::option::SOURCE_LINK)?;
        Ok(NeighbourSolicitation { target: array(header, field::TARGET).into(), source_ether })
    }

    /// Writes the message to the start of `l4`, for a packet with these addresses, and says how long it is.
    pub fn write(&self, l4: &mut [u8], source: Ipv6Addr, destination: Ipv6Addr) -> Result<usize, ParseError> {
        let link = self.source_ether.map(|ether| (field::option::SOURCE_LINK, ether));
        write(l4, number::SOLICITATION, 0, self.target, link, (source, destination))
    }
}

impl NeighbourAdvertisement {
    /// The longest message written.
    pub const MAX_LEN: usize = field::LEN + field::option::UNIT;

    /// Reads an advertisement.
    pub fn parse(l4: &[u8]) -> Result<NeighbourAdvertisement, ParseError> {
        let (header, target_ether) = read(l4, number::ADVERTISEMENT, field::option::TARGET_LINK)?;
        let flags = header[field::FLAGS];
        Ok(NeighbourAdvertisement {
            target: array(header, field::TARGET).into(),
            router: flags & field::ROUTER != 0,
            solicited: flags & field::SOLICITED != 0,
            replace: flags & field::OVERRIDE != 0,
            target_ether,
        })
    }

    /// Writes the message to the start of `l4`, for a packet with these addresses, and says how long it is.
    pub fn write(&self, l4: &mut [u8], source: Ipv6Addr, destination: Ipv6Addr) -> Result<usize, ParseError> {
        let bit = |set: bool, bit: u8| if set { bit } else { 0 };
        let flags = bit(self.router, field::ROUTER)
            | bit(self.solicited, field::SOLICITED)
            | bit(self.replace, field::OVERRIDE);
        let link = self.target_ether.map(|ether| (field::option::TARGET_LINK, ether));
        write(l4, number::ADVERTISEMENT, flags, self.target, link, (source, destination))
    }
}

/// The multicast address that solicitations for `target` go to (RFC 4291 §2.7.1).
pub fn solicited_node(target: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = target.octets();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), u16::from_be_bytes([b, c]))
}

impl EtherAddr {
    /// Where Ethernet sends an IPv6 multicast (RFC 2464 §7).
    pub fn of_multicast(group: Ipv6Addr) -> EtherAddr {
        let [.., a, b, c, d] = group.octets();
        EtherAddr([0x33, 0x33, a, b, c, d])
    }
}

/// Checks a message of this type and finds its link-layer address option.
fn read(l4: &[u8], message_type: u8, link: u8) -> Result<(&[u8; field::LEN], Option<EtherAddr>), ParseError> {
    let wrong = |field| Err(ParseError::BadField { layer: Layer::Nd, field });
    let Some((header, mut options)) = l4.split_first_chunk::<{ field::LEN }>() else {
        return Err(ParseError::truncated(Layer::Nd, field::LEN, l4.len()));
    };
    if header[field::TYPE] != message_type {
        return wrong(Field::Type);
    }
    if header[field::CODE] != 0 {
        return wrong(Field::Code);
    }
    if Ipv6Addr::from(array(header, field::TARGET)).is_multicast() {
        return wrong(Field::Target);
    }
    let mut ether = None;
    while !options.is_empty() {
        // An option of length 0 makes the whole message invalid (RFC 4861 §4.6).
        let len =
            options.get(field::option::LENGTH).map_or(0, |units| usize::from(*units) * field::option::UNIT);
        let Some((option, rest)) = options.split_at_checked(len).filter(|_| len > 0) else {
            return wrong(Field::OptionLength);
        };
        if option[field::option::KIND] == link && ether.is_none() {
            ether = Some(EtherAddr(array(option, field::option::ETHER)));
        }
        options = rest;
    }
    Ok((header, ether))
}

fn write(
    l4: &mut [u8],
    message_type: u8,
    flags: u8,
    target: Ipv6Addr,
    link: Option<(u8, EtherAddr)>,
    (source, destination): (Ipv6Addr, Ipv6Addr),
) -> Result<usize, ParseError> {
    let len = field::LEN + if link.is_some() { field::option::UNIT } else { 0 };
    let have = l4.len();
    let Some(message) = l4.get_mut(..len) else {
        return Err(ParseError::truncated(Layer::Nd, len, have));
    };
    message.fill(0);
    message[field::TYPE] = message_type;
    message[field::FLAGS] = flags;
    put(message, field::TARGET, target.octets());
    if let Some((kind, ether)) = link {
        let option = &mut message[field::LEN..];
        option[field::option::KIND] = kind;
        option[field::option::LENGTH] = 1;
        put(option, field::option::ETHER, ether.0);
    }
    Icmpv6::fill_checksum(message, V6::icmp_sum(source, destination, len as u32));
    Ok(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKER: &str = "fe80::1";
    const TARGET: &str = "2001:db8::a:b:c";

    fn ip(text: &str) -> Ipv6Addr {
        text.parse().unwrap()
    }

    fn is_valid(l4: &[u8], source: Ipv6Addr, destination: Ipv6Addr) -> bool {
        Icmpv6::parse(l4).unwrap().checksum_is_valid(V6::icmp_sum(source, destination, l4.len() as u32))
    }

    #[test]
    fn addresses_of_a_solicitation() {
        assert_eq!(solicited_node(ip("2001:db8::12:3456")), ip("ff02::1:ff12:3456"));
        let group = EtherAddr::of_multicast(ip("ff02::1:ff12:3456"));
        assert_eq!(group.to_string(), "33:33:ff:12:34:56");
    }

    #[test]
    fn solicitation_goes_round() {
        for source_ether in [None, Some(EtherAddr([2, 0, 0, 0, 0, 7]))] {
            let asked = NeighbourSolicitation { target: ip(TARGET), source_ether };
            let mut bytes = [0xaa; 40];
            let group = solicited_node(asked.target);
            let len = asked.write(&mut bytes, ip(ASKER), group).unwrap();
            assert_eq!(len, if source_ether.is_some() { 32 } else { 24 });
            assert_eq!(NeighbourSolicitation::parse(&bytes[..len]), Ok(asked));
            assert!(is_valid(&bytes[..len], ip(ASKER), group));
            assert!(NeighbourAdvertisement::parse(&bytes[..len]).is_err());
            assert!(asked.write(&mut [0; 23], ip(ASKER), group).is_err());
        }
    }

    #[test]
    fn advertisement_goes_round() {
        for bits in 0..8 {
            let told = NeighbourAdvertisement {
                target: ip(TARGET),
                router: bits & 1 != 0,
                solicited: bits & 2 != 0,
                replace: bits & 4 != 0,
                target_ether: Some(EtherAddr([2, 0, 0, 0, 0, 9])),
            };
            let mut bytes = [0; 32];
            let len = told.write(&mut bytes, told.target, ip(ASKER)).unwrap();
            assert_eq!(NeighbourAdvertisement::parse(&bytes[..len]), Ok(told));
            assert!(is_valid(&bytes[..len], told.target, ip(ASKER)));
        }
    }

    #[test]
    fn malformed_messages_are_refused() {
        let mut bytes = [0; 32];
        let asked = NeighbourSolicitation { target: ip(TARGET), source_ether: Some(EtherAddr::default()) };
        asked.write(&mut bytes, ip(ASKER), ip(TARGET)).unwrap();
        for (at, value, field) in [
            (field::CODE, 1, Field::Code),
            (field::TARGET, 0xff, Field::Target),
            (field::LEN + field::option::LENGTH, 0, Field::OptionLength),
            (field::LEN + field::option::LENGTH, 2, Field::OptionLength),
        ] {
            let mut message = bytes;
            message[at] = value;
            let refused = NeighbourSolicitation::parse(&message);
            assert_eq!(refused, Err(ParseError::BadField { layer: Layer::Nd, field }));
        }
        // An unknown option before ours is stepped over.
        let mut longer = bytes[..24].to_vec();
        longer.extend([14, 1, 0, 0, 0, 0, 0, 0]);
        longer.extend(&bytes[24..]);
        assert_eq!(NeighbourSolicitation::parse(&longer), Ok(asked));
    }
}
