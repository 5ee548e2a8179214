//! A frame in parts: tags, EtherType, IP packet; and what can be done to it.

use super::checks::{crc32c, internet_checksum, pseudo_header};
use etherparse::{Icmpv4Type, IpNumber, Ipv4Header, Ipv6Header, TcpHeader, UdpHeader, icmpv4};
use std::net::{IpAddr, SocketAddr};

/// Whoever sends to the gateway, and the gateway.
const MACS: ([u8; 6], [u8; 6]) = ([2, 0xc, 0, 0, 0, 7], [2, 0, 0, 0, 0, 0]);
const TCP: u8 = 6;
const UDP: u8 = 17;
const SCTP: u8 = 132;

/// A packet. `ip` may be changed at will; nothing but the named methods repairs lengths or checksums.
#[derive(Debug, Clone)]
pub struct Packet {
    /// To whom it is sent on the link.
    pub destination_mac: [u8; 6],
    /// Who sends it there.
    pub source_mac: [u8; 6],
    /// TPID and TCI of each tag, the outer one first.
    pub tags: Vec<(u16, u16)>,
    /// What the tags are followed by.
    pub ether_type: u16,
    /// From the IP header on.
    pub ip: Vec<u8>,
    /// Where the upper layer begins in it.
    pub l4: usize,
    /// The upper layer's protocol, whatever the header says.
    pub protocol: u8,
}

/// Messages of both families' ICMP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IcmpType {
    /// A ping.
    EchoRequest,
    /// Its answer.
    EchoReply,
    /// Port unreachable.
    PortUnreachable,
    /// Fragmentation needed, packet too big.
    TooBig(u16),
    /// Time exceeded on the way.
    TimeExceeded,
    /// Redirect.
    Redirect,
    /// A type that is no error and no echo.
    Other,
}

impl IcmpType {
    /// Type, code, and the second word.
    fn header(self, is_v4: bool) -> [u8; 8] {
        let word = if self == Self::Redirect && is_v4 { [10, 0, 1, 254] } else { [0; 4] };
        let (kind, code, word) = match (self, is_v4) {
            (Self::EchoRequest, true) => (8, 0, [0x12, 0x34, 0, 1]),
            (Self::EchoRequest, false) => (128, 0, [0x12, 0x34, 0, 1]),
            (Self::EchoReply, true) => (0, 0, [0x12, 0x34, 0, 1]),
            (Self::EchoReply, false) => (129, 0, [0x12, 0x34, 0, 1]),
            (Self::PortUnreachable, true) => (3, 3, word),
            (Self::PortUnreachable, false) => (1, 4, word),
            (Self::TooBig(mtu), true) => {
                let header = icmpv4::DestUnreachableHeader::FragmentationNeeded { next_hop_mtu: mtu };
                let bytes =
                    etherparse::Icmpv4Header::new(Icmpv4Type::DestinationUnreachable(header)).to_bytes();
                let rest = [bytes[4], bytes[5], bytes[6], bytes[7]];
                (bytes[0], bytes[1], rest)
            }
            (Self::TooBig(mtu), false) => (2, 0, u32::from(mtu).to_be_bytes()),
            (Self::TimeExceeded, true) => (11, 0, word),
            (Self::TimeExceeded, false) => (3, 0, word),
            (Self::Redirect, true) => (5, 1, word),
            (Self::Redirect, false) => (137, 0, word),
            (Self::Other, true) => (13, 0, word),
            (Self::Other, false) => (151, 0, word),
        };
        [kind, code, 0, 0, word[0], word[1], word[2], word[3]]
    }
}

/// A chunk of SCTP.
pub fn chunk(kind: u8, value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind, 0];
    bytes.extend((value.len() as u16 + 4).to_be_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

impl Packet {
    /// A packet of a protocol, with these bytes behind the IP header.
    pub fn of(from: IpAddr, to: IpAddr, protocol: u8, l4: &[u8]) -> Self {
        let len = l4.len() as u16;
        let (ether_type, mut ip) = match (from, to) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let mut header =
                    Ipv4Header { time_to_live: 64, dont_fragment: false, ..Ipv4Header::default() };
                header.total_len = len + 20;
                header.protocol = IpNumber(protocol);
                (header.source, header.destination) = (from.octets(), to.octets());
                header.header_checksum = header.calc_header_checksum();
                (0x0800, header.to_bytes().to_vec())
            }
            (from, to) => {
                let octets = |address: IpAddr| match address {
                    IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
                    IpAddr::V6(v6) => v6.octets(),
                };
                let header = Ipv6Header {
                    payload_length: len,
                    next_header: IpNumber(protocol),
                    hop_limit: 64,
                    source: octets(from),
                    destination: octets(to),
                    ..Ipv6Header::default()
                };
                (0x86dd, header.to_bytes().to_vec())
            }
        };
        let at = ip.len();
        ip.extend(l4);
        Self {
            destination_mac: MACS.1,
            source_mac: MACS.0,
            tags: Vec::new(),
            ether_type,
            ip,
            l4: at,
            protocol,
        }
    }

    /// A TCP segment. Flags are letters: S, A, F, R, P, U.
    pub fn tcp(from: SocketAddr, to: SocketAddr, flags: &str, payload: &[u8]) -> Self {
        let mut header = TcpHeader::new(from.port(), to.port(), 1000, 0xfff0);
        let has = |flag| flags.contains(flag);
        (header.syn, header.ack, header.fin) = (has('S'), has('A'), has('F'));
        (header.rst, header.psh, header.urg) = (has('R'), has('P'), has('U'));
        header.acknowledgment_number = if header.ack { 5000 } else { 0 };
        Self::of(from.ip(), to.ip(), TCP, &[&header.to_bytes()[..], payload].concat()).seal()
    }

    /// A UDP datagram.
    pub fn udp(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Self {
        let header = UdpHeader {
            source_port: from.port(),
            destination_port: to.port(),
            length: payload.len() as u16 + 8,
            checksum: 0,
        };
        Self::of(from.ip(), to.ip(), UDP, &[&header.to_bytes()[..], payload].concat()).seal()
    }

    /// An SCTP packet with a verification tag and chunks.
    pub fn sctp(from: SocketAddr, to: SocketAddr, tag: u32, chunks: &[Vec<u8>]) -> Self {
        let ports = [from.port().to_be_bytes(), to.port().to_be_bytes()].concat();
        let header = [&ports[..], &tag.to_be_bytes(), &[0; 4]].concat();
        Self::of(from.ip(), to.ip(), SCTP, &[header, chunks.concat()].concat()).seal()
    }

    /// An SCTP INIT.
    pub fn sctp_init(from: SocketAddr, to: SocketAddr) -> Self {
        let value = [&7u32.to_be_bytes()[..], &[0, 1, 0, 0, 0, 10, 0, 10], &9u32.to_be_bytes()].concat();
        Self::sctp(from, to, 0, &[chunk(1, &value)])
    }

    /// An ICMP message of the addresses' family.
    pub fn icmp(from: IpAddr, to: IpAddr, kind: IcmpType, body: &[u8]) -> Self {
        let protocol = if from.is_ipv4() { 1 } else { 58 };
        Self::of(from, to, protocol, &[&kind.header(from.is_ipv4())[..], body].concat()).seal()
    }

    /// An ICMP error about this packet, which quotes `most` bytes of it.
    pub fn error_about(&self, from: IpAddr, to: IpAddr, kind: IcmpType, most: usize) -> Self {
        Self::icmp(from, to, kind, &self.ip[..self.ip.len().min(most)])
    }

    /// The frame.
    pub fn frame(&self) -> Vec<u8> {
        let mut frame = [self.destination_mac, self.source_mac].concat();
        for (tpid, tci) in &self.tags {
            frame.extend(tpid.to_be_bytes());
            frame.extend(tci.to_be_bytes());
        }
        frame.extend(self.ether_type.to_be_bytes());
        frame.extend(&self.ip);
        frame
    }

    /// Whether this is IPv4.
    pub fn is_v4(&self) -> bool {
        self.ether_type == 0x0800
    }

    /// Adds an inner tag.
    #[must_use]
    pub fn tagged(mut self, tpid: u16, tci: u16) -> Self {
        self.tags.push((tpid, tci));
        self
    }

    /// Another TTL or hop limit.
    #[must_use]
    pub fn hops(self, hops: u8) -> Self {
        let at = if self.is_v4() { 8 } else { 7 };
        self.put(at, &[hops]).fix_header()
    }

    /// IPv4's DF bit.
    #[must_use]
    pub fn dont_fragment(self) -> Self {
        if self.is_v4() { self.put(6, &[0x40, 0]).fix_header() } else { self }
    }

    /// Other bytes at a place of the IP packet.
    #[must_use]
    pub fn put(mut self, at: usize, bytes: &[u8]) -> Self {
        self.ip[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    /// Other bytes at a place of the upper layer.
    #[must_use]
    pub fn put_l4(self, at: usize, bytes: &[u8]) -> Self {
        let at = self.l4 + at;
        self.put(at, bytes)
    }

    /// The frame cut off, so many bytes of the IP packet being left: the headers promise more.
    #[must_use]
    pub fn cut(mut self, ip_bytes: usize) -> Self {
        self.ip.truncate(ip_bytes);
        self
    }

    /// The packet cut to so many bytes of upper layer, and its length with it: only the upper layer promises more.
    #[must_use]
    pub fn cut_l4(mut self, bytes: usize) -> Self {
        self.ip.truncate(self.l4 + bytes);
        self.fix_length()
    }

    /// IPv4 options, or IPv6 extension headers of which the first is of kind `first`, between header and upper layer.
    #[must_use]
    pub fn with_options(mut self, first: u8, options: &[u8]) -> Self {
        let at = self.l4;
        self.ip.splice(at..at, options.iter().copied());
        self.l4 += options.len();
        if self.is_v4() {
            self.ip[0] = 0x40 | (self.l4 / 4) as u8;
        } else {
            self.ip[6] = first;
        }
        self.fix_length()
    }

    /// States the length that it has.
    #[must_use]
    pub fn fix_length(self) -> Self {
        let len = self.ip.len();
        self.state_length(len)
    }

    /// States this length, of the IP packet with its header.
    #[must_use]
    pub fn state_length(self, len: usize) -> Self {
        if self.is_v4() {
            return self.put(2, &(len as u16).to_be_bytes()).fix_header();
        }
        self.put(4, &(len.saturating_sub(40) as u16).to_be_bytes())
    }

    /// Makes IPv4's header checksum right, if there is a whole header.
    #[must_use]
    pub fn fix_header(mut self) -> Self {
        let len = self.ip.first().map_or(0, |first| usize::from(first & 0xf) * 4);
        if self.is_v4() && len >= 20 && self.ip.len() >= len {
            self.ip[10..12].fill(0);
            let sum = internet_checksum(0, &self.ip[..len]);
            self.ip[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        self
    }

    /// Makes the upper layer's checksum right, if it reaches that far.
    #[must_use]
    pub fn seal(mut self) -> Self {
        let (protocol, l4) = (self.protocol, self.l4);
        let pseudo = pseudo_header(&self.ip, protocol, self.ip.len() - l4);
        let l4 = &mut self.ip[l4..];
        let at = match protocol {
            1 | 58 => 2,
            TCP => 16,
            UDP => 6,
            SCTP => 8,
            _ => return self,
        };
        if protocol == SCTP {
            if l4.len() >= 12 {
                l4[8..12].fill(0);
                let sum = crc32c(l4);
                l4[8..12].copy_from_slice(&sum.to_le_bytes());
            }
        } else if l4.len() >= at + 2 {
            l4[at..at + 2].fill(0);
            let sum = internet_checksum(if protocol == 1 { 0 } else { pseudo }, l4);
            let sum = if protocol == UDP && sum == 0 { 0xffff } else { sum };
            l4[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        }
        self
    }

    /// The part of it that is the upper layer's bytes from `from` to `to`, as a fragment.
    #[must_use]
    pub fn fragment(&self, id: u16, from: usize, to: usize, more: bool) -> Self {
        let mut part = self.clone();
        let l4 = self.ip[self.l4..].get(from..to.min(self.ip.len() - self.l4)).unwrap_or_default();
        part.ip.truncate(self.l4);
        part.ip.extend(l4);
        part.made_fragment(id, from, more)
    }

    /// The same bytes, called the fragment of a datagram at this offset.
    #[must_use]
    pub fn made_fragment(self, id: u16, offset: usize, more: bool) -> Self {
        if self.is_v4() {
            let field = (offset / 8) as u16 | u16::from(more) << 13;
            return self.put(4, &id.to_be_bytes()).put(6, &field.to_be_bytes()).fix_length();
        }
        let header = fragment_header(self.ip[6], id, offset, more);
        self.with_options(44, &header)
    }
}

/// IPv6's fragment header.
fn fragment_header(next: u8, id: u16, offset: usize, more: bool) -> Vec<u8> {
    let field = offset as u16 & 0xfff8 | u16::from(more);
    [&[next, 0][..], &field.to_be_bytes(), &u32::from(id).to_be_bytes()].concat()
}
