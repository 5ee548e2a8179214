//! ARP for IPv4 over Ethernet (RFC 826), read and written.
//!
//! In: the payload of an ARP frame. Out: its five fields by value, which [`Arp::write`] also turns back into bytes.
//! Limits: other hardware and protocol types, and operations other than request and reply, are refused.

use std::net::Ipv4Addr;

use super::bytes::{array, be16, put};
use super::{EtherAddr, EtherType, Field, Layer, ParseError};

mod field {
    pub(super) const HARDWARE_TYPE: usize = 0;
    pub(super) const PROTOCOL_TYPE: usize = 2;
    pub(super) const HARDWARE_LEN: usize = 4;
    pub(super) const PROTOCOL_LEN: usize = 5;
    pub(super) const OPERATION: usize = 6;
    pub(super) const SENDER_ETHER: usize = 8;
    pub(super) const SENDER: usize = 14;
    pub(super) const TARGET_ETHER: usize = 18;
    pub(super) const TARGET: usize = 24;
    pub(super) const LEN: usize = 28;
}

const ETHERNET: u16 = 1;
const ETHER_LEN: u8 = 6;
const IPV4_LEN: u8 = 4;

/// What an ARP packet wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ArpOperation {
    /// Who has the target address?
    Request,
    /// The sender has the sender address.
    Reply,
}

impl ArpOperation {
    const fn number(self) -> u16 {
        match self {
            ArpOperation::Request => 1,
            ArpOperation::Reply => 2,
        }
    }
}

/// An ARP packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arp {
    /// Request or reply.
    pub operation: ArpOperation,
    /// The sender's link-layer address.
    pub sender_ether: EtherAddr,
    /// The sender's address; 0.0.0.0 in a probe (RFC 5227).
    pub sender: Ipv4Addr,
    /// The link-layer address of the target, which a request leaves zero.
    pub target_ether: EtherAddr,
    /// The address asked for, or the asker's in a reply; the sender's own in an announcement.
    pub target: Ipv4Addr,
}

impl Arp {
    /// Bytes of a packet.
    pub const LEN: usize = field::LEN;

    /// Reads the payload of an ARP frame. Bytes behind the packet are padding.
    pub fn parse(payload: &[u8]) -> Result<Arp, ParseError> {
        let Some(packet) = payload.first_chunk::<{ field::LEN }>() else {
            return Err(ParseError::truncated(Layer::Arp, field::LEN, payload.len()));
        };
        let wrong = |field| Err(ParseError::BadField { layer: Layer::Arp, field });
        if be16(packet, field::HARDWARE_TYPE) != ETHERNET {
            return wrong(Field::HardwareType);
        }
        if be16(packet, field::PROTOCOL_TYPE) != EtherType::IPV4.0 {
            return wrong(Field::ProtocolType);
        }
        if packet[field::HARDWARE_LEN] != ETHER_LEN || packet[field::PROTOCOL_LEN] != IPV4_LEN {
            return wrong(Field::AddressLength);
        }
        let number = be16(packet, field::OPERATION);
        let known = [ArpOperation::Request, ArpOperation::Reply];
        let Some(operation) = known.into_iter().find(|operation| operation.number() == number) else {
            return wrong(Field::Operation);
        };
        Ok(Arp {
            operation,
            sender_ether: EtherAddr(array(packet, field::SENDER_ETHER)),
            sender: array(packet, field::SENDER).into(),
            target_ether: EtherAddr(array(packet, field::TARGET_ETHER)),
            target: array(packet, field::TARGET).into(),
        })
    }

    /// Writes the packet to the start of `payload` and says how long it is.
    pub fn write(&self, payload: &mut [u8]) -> Result<usize, ParseError> {
        let have = payload.len();
        let Some(packet) = payload.first_chunk_mut::<{ field::LEN }>() else {
            return Err(ParseError::truncated(Layer::Arp, field::LEN, have));
        };
        put(packet, field::HARDWARE_TYPE, ETHERNET.to_be_bytes());
        put(packet, field::PROTOCOL_TYPE, EtherType::IPV4.0.to_be_bytes());
        put(packet, field::HARDWARE_LEN, [ETHER_LEN]);
        put(packet, field::PROTOCOL_LEN, [IPV4_LEN]);
        put(packet, field::OPERATION, self.operation.number().to_be_bytes());
        put(packet, field::SENDER_ETHER, self.sender_ether.0);
        put(packet, field::SENDER, self.sender.octets());
        put(packet, field::TARGET_ETHER, self.target_ether.0);
        put(packet, field::TARGET, self.target.octets());
        Ok(field::LEN)
    }

    /// Who has `target`? From `sender_ether`, which has `sender`.
    pub const fn request(sender_ether: EtherAddr, sender: Ipv4Addr, target: Ipv4Addr) -> Arp {
        let (operation, target_ether) = (ArpOperation::Request, EtherAddr::ZERO);
        Arp { operation, sender_ether, sender, target_ether, target }
    }

    /// The answer to this request: its target is at `ether`.
    #[must_use]
    pub const fn reply(&self, ether: EtherAddr) -> Arp {
        Arp {
            operation: ArpOperation::Reply,
            sender_ether: ether,
            sender: self.target,
            target_ether: self.sender_ether,
            target: self.sender,
        }
    }

    /// Tells all that `address` is at `ether` now (RFC 5227 §3: a request for one's own address).
    pub const fn announcement(ether: EtherAddr, address: Ipv4Addr) -> Arp {
        Arp::request(ether, address, address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const REQUEST: [u8; 28] = [
        0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x01, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 192, 0, 2, 1, 0,
        0, 0, 0, 0, 0, 192, 0, 2, 80,
    ];

    #[test]
    fn request_and_its_reply() {
        let request = Arp::parse(&REQUEST).unwrap();
        let (asker, ours) = (EtherAddr([2, 0, 0, 0, 0, 1]), EtherAddr([2, 0, 0, 0, 0, 9]));
        assert_eq!(request, Arp::request(asker, [192, 0, 2, 1].into(), [192, 0, 2, 80].into()));

        let mut bytes = [0xaa; 60];
        assert_eq!(request.reply(ours).write(&mut bytes), Ok(28));
        let reply = Arp::parse(&bytes).unwrap();
        assert_eq!(reply.operation, ArpOperation::Reply);
        assert_eq!((reply.sender_ether, reply.sender), (ours, [192, 0, 2, 80].into()));
        assert_eq!((reply.target_ether, reply.target), (asker, [192, 0, 2, 1].into()));
        assert_eq!(bytes[28], 0xaa, "bytes behind the packet are not ours");
    }

    #[test]
    fn what_is_not_ethernet_and_ipv4_is_refused() {
        for (at, field) in [
            (field::HARDWARE_TYPE, Field::HardwareType),
            (field::PROTOCOL_TYPE, Field::ProtocolType),
            (field::HARDWARE_LEN, Field::AddressLength),
            (field::PROTOCOL_LEN, Field::AddressLength),
            (field::OPERATION, Field::Operation),
        ] {
            let mut packet = REQUEST;
            packet[at] ^= 0x40;
            assert_eq!(Arp::parse(&packet), Err(ParseError::BadField { layer: Layer::Arp, field }));
        }
        assert!(matches!(Arp::parse(&REQUEST[..27]), Err(ParseError::Truncated { need: 28, have: 27, .. })));
        assert!(Arp::parse(&REQUEST).unwrap().write(&mut [0; 27]).is_err());
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_again(mut bytes in any::<[u8; 28]>(), reply in any::<bool>()) {
            bytes[..field::OPERATION].copy_from_slice(&REQUEST[..field::OPERATION]);
            bytes[field::OPERATION..field::SENDER_ETHER].copy_from_slice(&[0, 1 + u8::from(reply)]);
            let mut written = [0; 28];
            Arp::parse(&bytes).unwrap().write(&mut written).unwrap();
            prop_assert_eq!(written, bytes);
        }
    }
}
