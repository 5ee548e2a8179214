//! Packets of the test world: built by `etherparse`, read and checked here by plain code that shares nothing with
//! `wire/`, so that each is an oracle for the path.

use super::net::{CLIENT_MAC, CLIENT_PORT, Net, our_mac};
use crate::{
    io::PortId,
    state::Tuple,
    table::{Link, Transport},
    wire::{EtherAddr, Family, TcpFlags, VlanTags},
};
use etherparse::{IpNumber, Ipv4Header, Ipv6Header, TcpHeader, UdpHeader};
use std::net::IpAddr;

/// A packet to send.
#[derive(Debug, Clone)]
pub(crate) struct Spec<F: Family> {
    pub(crate) tuple: Tuple<F>,
    pub(crate) flags: TcpFlags,
    /// TCP's sequence number; SCTP's verification tag.
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) hop_limit: u8,
    pub(crate) dont_fragment: bool,
    /// IPv4 UDP: send no checksum.
    pub(crate) no_checksum: bool,
    pub(crate) payload: Vec<u8>,
    /// Where it arrives, from whom, with which tags: the link its answer would take.
    pub(crate) link: Link,
}

impl<F: Net> Spec<F> {
    /// A packet of a client.
    pub(crate) fn new(tuple: Tuple<F>, flags: TcpFlags) -> Self {
        let link = Link {
            port: CLIENT_PORT,
            source: our_mac(CLIENT_PORT),
            destination: CLIENT_MAC,
            vlan: VlanTags::NONE,
        };
        Self {
            tuple,
            flags,
            seq: if flags.syn() { 1000 } else { 1001 },
            ack: if flags.ack() { 5001 } else { 0 },
            hop_limit: 64,
            dont_fragment: true,
            no_checksum: false,
            payload: Vec::new(),
            link,
        }
    }

    /// The whole frame.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        frame(&self.link, F::ETHER_TYPE.0, &self.ip())
    }

    /// From the IP header on.
    pub(crate) fn ip(&self) -> Vec<u8> {
        let l4 = match self.tuple.transport {
            Transport::Tcp => self.tcp(),
            Transport::Udp => self.udp(),
            Transport::Sctp => self.sctp(),
        };
        let protocol = self.tuple.transport.protocol().0;
        ip::<F>(self.tuple.source, self.tuple.destination, protocol, self.hop_limit, self.dont_fragment, &l4)
    }

    fn tcp(&self) -> Vec<u8> {
        let mut header =
            TcpHeader::new(self.tuple.source_port, self.tuple.destination_port, self.seq, 64_000);
        header.acknowledgment_number = self.ack;
        let has = |flag| self.flags.contains(flag);
        (header.fin, header.syn, header.rst) = (has(TcpFlags::FIN), has(TcpFlags::SYN), has(TcpFlags::RST));
        (header.psh, header.ack, header.urg) = (has(TcpFlags::PSH), has(TcpFlags::ACK), has(TcpFlags::URG));
        header.checksum = match (F::to_ip(self.tuple.source), F::to_ip(self.tuple.destination)) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                header.calc_checksum_ipv4_raw(from.octets(), to.octets(), &self.payload)
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                header.calc_checksum_ipv6_raw(from.octets(), to.octets(), &self.payload)
            }
            _ => unreachable!("one family"),
        }
        .unwrap();
        [&header.to_bytes(), self.payload.as_slice()].concat()
    }

    fn sctp(&self) -> Vec<u8> {
        let mut packet =
            [self.tuple.source_port.to_be_bytes(), self.tuple.destination_port.to_be_bytes()].concat();
        packet.extend(self.seq.to_be_bytes());
        packet.extend([0; 4]);
        packet.extend(&self.payload);
        let crc = plain_crc32c(&packet).to_le_bytes();
        packet[8..12].copy_from_slice(&crc);
        packet
    }

    fn udp(&self) -> Vec<u8> {
        let (from, to) = (self.tuple.source_port, self.tuple.destination_port);
        let mut header = UdpHeader::without_ipv4_checksum(from, to, self.payload.len()).unwrap();
        if !self.no_checksum {
            header.checksum = match (F::to_ip(self.tuple.source), F::to_ip(self.tuple.destination)) {
                (IpAddr::V4(from), IpAddr::V4(to)) => {
                    header.calc_checksum_ipv4_raw(from.octets(), to.octets(), &self.payload)
                }
                (IpAddr::V6(from), IpAddr::V6(to)) => {
                    header.calc_checksum_ipv6_raw(from.octets(), to.octets(), &self.payload)
                }
                _ => unreachable!("one family"),
            }
            .unwrap();
        }
        [&header.to_bytes(), self.payload.as_slice()].concat()
    }
}

/// An ICMP error to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IcmpErrorKind {
    PortUnreachable,
    TooBig(u16),
    TimeExceeded,
}

impl IcmpErrorKind {
    /// Type, code and second word of the family's message.
    pub(crate) fn numbers<F: Family>(self) -> (u8, u8, u32) {
        match (self, F::ADDR_LEN) {
            (Self::PortUnreachable, 4) => (3, 3, 0),
            (Self::TooBig(mtu), 4) => (3, 4, u32::from(mtu)),
            (Self::TimeExceeded, 4) => (11, 0, 0),
            (Self::PortUnreachable, _) => (1, 4, 0),
            (Self::TooBig(mtu), _) => (2, 0, u32::from(mtu)),
            (Self::TimeExceeded, _) => (3, 0, 0),
        }
    }
}

/// An ICMP error about `quoted`, from the IP header on.
pub(crate) fn icmp_error<F: Net>(kind: IcmpErrorKind, from: F::Addr, to: F::Addr, quoted: &[u8]) -> Vec<u8> {
    let (message_type, code, rest) = kind.numbers::<F>();
    icmp::<F>(message_type, code, rest, from, to, quoted)
}

/// Any ICMP message, from the IP header on.
pub(crate) fn icmp<F: Net>(
    message_type: u8,
    code: u8,
    rest: u32,
    from: F::Addr,
    to: F::Addr,
    body: &[u8],
) -> Vec<u8> {
    let mut message = vec![message_type, code, 0, 0];
    message.extend(rest.to_be_bytes());
    message.extend(body);
    let pseudo = if F::ADDR_LEN == 4 { Vec::new() } else { pseudo::<F>(from, to, F::ICMP.0, message.len()) };
    let sum = !ones_complement_sum(&[&pseudo[..], &message].concat());
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    ip::<F>(from, to, F::ICMP.0, 64, false, &message)
}

/// An IP packet around `l4`.
fn ip<F: Net>(
    from: F::Addr,
    to: F::Addr,
    protocol: u8,
    hop_limit: u8,
    dont_fragment: bool,
    l4: &[u8],
) -> Vec<u8> {
    match (F::to_ip(from), F::to_ip(to)) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let len = l4.len() as u16;
            let mut header =
                Ipv4Header::new(len, hop_limit, IpNumber(protocol), from.octets(), to.octets()).unwrap();
            header.identification = 0x1234;
            header.dont_fragment = dont_fragment;
            header.header_checksum = header.calc_header_checksum();
            [&header.to_bytes(), l4].concat()
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let header = Ipv6Header {
                traffic_class: 0x28,
                payload_length: l4.len() as u16,
                next_header: IpNumber(protocol),
                hop_limit,
                source: from.octets(),
                destination: to.octets(),
                ..Ipv6Header::default()
            };
            [&header.to_bytes(), l4].concat()
        }
        _ => unreachable!("one family"),
    }
}

/// The frame in which `ip` arrives over `link` (whose directions are ours, so it is turned round here).
pub(crate) fn frame(link: &Link, ether_type: u16, ip: &[u8]) -> Vec<u8> {
    let mut frame = [link.source.0, link.destination.0].concat();
    for tag in link.vlan.iter() {
        frame.extend(tag.tpid.0.to_be_bytes());
        frame.extend(tag.tci.to_be_bytes());
    }
    frame.extend(ether_type.to_be_bytes());
    frame.extend(ip);
    frame
}

/// A frame as it left.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) port: PortId,
    pub(crate) from: EtherAddr,
    pub(crate) to: EtherAddr,
    /// TPID and TCI of each tag.
    pub(crate) tags: Vec<(u16, u16)>,
    pub(crate) ip: Ip,
}

/// An IP packet without options, or what an ICMP error quotes of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ip {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) protocol: u8,
    pub(crate) hop_limit: u8,
    pub(crate) header: Vec<u8>,
    pub(crate) l4: Vec<u8>,
}

impl Seen {
    /// Reads a frame and checks every checksum in it.
    pub(crate) fn read(port: PortId, frame: &[u8]) -> Self {
        let mut at = 12;
        let mut tags = Vec::new();
        while matches!(be16(frame, at), 0x8100 | 0x88a8) {
            tags.push((be16(frame, at), be16(frame, at + 2)));
            at += 4;
        }
        let ip = Ip::read(&frame[at + 2..]);
        let expected = if ip.source.is_ipv4() { 0x0800 } else { 0x86dd };
        assert_eq!(be16(frame, at), expected, "the EtherType");
        ip.check();
        let mac = |at: usize| EtherAddr(frame[at..at + 6].try_into().unwrap());
        Self { port, from: mac(6), to: mac(0), tags, ip }
    }
}

impl Ip {
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let octets16 = |at: usize| <[u8; 16]>::try_from(&bytes[at..at + 16]).unwrap();
        let octets4 = |at: usize| <[u8; 4]>::try_from(&bytes[at..at + 4]).unwrap();
        match bytes[0] >> 4 {
            4 => {
                assert_eq!(bytes[0] & 0xf, 5, "no options");
                let end = usize::from(be16(bytes, 2)).min(bytes.len());
                Self {
                    source: octets4(12).into(),
                    destination: octets4(16).into(),
                    protocol: bytes[9],
                    hop_limit: bytes[8],
                    header: bytes[..20].to_vec(),
                    l4: bytes[20..end].to_vec(),
                }
            }
            6 => {
                let end = (usize::from(be16(bytes, 4)) + 40).min(bytes.len());
                Self {
                    source: octets16(8).into(),
                    destination: octets16(24).into(),
                    protocol: bytes[6],
                    hop_limit: bytes[7],
                    header: bytes[..40].to_vec(),
                    l4: bytes[40..end].to_vec(),
                }
            }
            version => panic!("IP version {version}"),
        }
    }

    /// All checksums, over all bytes (RFC 1071). A quoted packet must be quoted whole.
    pub(crate) fn check(&self) {
        if self.source.is_ipv4() {
            assert_eq!(ones_complement_sum(&self.header), 0xffff, "IPv4 header checksum");
        }
        if self.protocol == 17 && be16(&self.l4, 6) == 0 {
            assert!(self.source.is_ipv4(), "IPv6 UDP without a checksum");
            return;
        }
        if self.protocol == 132 {
            let zeroed = [&self.l4[..8], &[0; 4], &self.l4[12..]].concat();
            assert_eq!(self.l4[8..12], plain_crc32c(&zeroed).to_le_bytes(), "CRC of SCTP");
            return;
        }
        let octets = |addr: IpAddr| match addr {
            IpAddr::V4(addr) => addr.octets().to_vec(),
            IpAddr::V6(addr) => addr.octets().to_vec(),
        };
        let mut bytes = Vec::new();
        if self.protocol != 1 {
            bytes.extend(octets(self.source));
            bytes.extend(octets(self.destination));
            bytes.extend((self.l4.len() as u32).to_be_bytes());
            bytes.extend([0, 0, 0, self.protocol]);
        }
        bytes.extend(&self.l4);
        assert_eq!(ones_complement_sum(&bytes), 0xffff, "checksum of protocol {}", self.protocol);
        if self.is_icmp() {
            // Anything shorter has no checksum of its own that could be checked.
            let quoted = Self::read(self.quoted());
            let whole = usize::from(if quoted.source.is_ipv4() {
                be16(&quoted.header, 2) - 20
            } else {
                be16(&quoted.header, 4)
            });
            if quoted.l4.len() == whole {
                quoted.check();
            }
        }
    }

    pub(crate) fn is_icmp(&self) -> bool {
        matches!(self.protocol, 1 | 58)
    }

    /// What an ICMP error quotes.
    pub(crate) fn quoted(&self) -> &[u8] {
        &self.l4[8..]
    }

    pub(crate) fn tuple<F: Family>(&self) -> Tuple<F> {
        Tuple {
            source: F::from_ip(self.source).unwrap(),
            destination: F::from_ip(self.destination).unwrap(),
            source_port: be16(&self.l4, 0),
            destination_port: be16(&self.l4, 2),
            transport: match self.protocol {
                6 => Transport::Tcp,
                17 => Transport::Udp,
                132 => Transport::Sctp,
                other => panic!("protocol {other} has no ports"),
            },
        }
    }

    pub(crate) fn flags(&self) -> TcpFlags {
        TcpFlags(self.l4[13])
    }

    pub(crate) fn seq(&self) -> u32 {
        be32(&self.l4, 4)
    }

    pub(crate) fn ack(&self) -> u32 {
        be32(&self.l4, 8)
    }

    /// Type, code and second word.
    pub(crate) fn icmp_numbers(&self) -> (u8, u8, u32) {
        (self.l4[0], self.l4[1], be32(&self.l4, 4))
    }

    /// The bytes behind the transport header (TCP without options).
    pub(crate) fn payload(&self) -> &[u8] {
        let header = match self.protocol {
            6 => 20,
            132 => 12,
            _ => 8,
        };
        &self.l4[header..]
    }
}

fn pseudo<F: Family>(from: F::Addr, to: F::Addr, protocol: u8, len: usize) -> Vec<u8> {
    let mut bytes = F::octets(&from).as_ref().to_vec();
    bytes.extend(F::octets(&to).as_ref());
    bytes.extend((len as u32).to_be_bytes());
    bytes.extend([0, 0, 0, protocol]);
    bytes
}

/// RFC 9260 appendix A, a bit at a time.
pub(crate) fn plain_crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = crc >> 1 ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 };
        }
    }
    !crc
}

/// RFC 1071 as it stands there: 16 bits at a time, carries folded at the end.
pub(crate) fn ones_complement_sum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = 0;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |last| u32::from(*last));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}
