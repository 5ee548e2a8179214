//! A flow's frame, all but what differs from one to the next: lengths, time, number, checksums.
//!
//! The generator in the kernel has the same layout and finishes it alike: src/bpf/frame.h, src/bpf/generate.bpf.c.

use std::net::IpAddr;

use etherparse::{PacketBuilder, TcpHeader};
use penstock_dataplane::wire::EtherAddr;

use super::{MARK_BYTES, Mark, mark::field};
use crate::{
    bytes::{array, checksum, put, sum},
    spec::{Protocol, Spec, SpecError},
};

/// What is written of every frame: Ethernet, IPv6, TCP and a mark, rounded up. Zeros behind the flow's own.
pub const HEADER_BYTES: usize = 96;

const ETHERNET: usize = 14;
const HOPS: u8 = 64;

mod kind {
    pub(super) const V6: u32 = 1;
    pub(super) const TCP: u32 = 2;
    pub(super) const MARKED: u32 = 4;
}

/// Offsets within IPv4, IPv6, UDP and TCP headers.
mod at {
    pub(super) const V4_LENGTH: usize = 2;
    pub(super) const V4_CHECKSUM: usize = 10;
    pub(super) const V6_LENGTH: usize = 4;
    pub(super) const UDP_LENGTH: usize = 4;
    pub(super) const UDP_CHECKSUM: usize = 6;
    pub(super) const TCP_NUMBER: usize = 4;
    pub(super) const TCP_CHECKSUM: usize = 16;
}

/// See the module.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct FlowFrame {
    header: [u8; HEADER_BYTES],
    ip_sum: u32,
    l4_sum: u32,
    number: u32,
    kind: u32,
}

/// The smallest frame of a kind, without check sequence: what Ethernet wants, or what the mark takes.
pub fn least_bytes(protocol: Protocol, v6: bool) -> u16 {
    let mark = if protocol == Protocol::TcpSyn { 0 } else { MARK_BYTES };
    let transport = if protocol == Protocol::Udp { 8 } else { 20 };
    ((ETHERNET + if v6 { 40 } else { 20 } + transport + mark) as u16).max(60)
}

/// The flows of `spec`, whose frames come from `source_mac` and are marked as of `run`.
pub fn flows(spec: &Spec, source_mac: EtherAddr, run: u16) -> Result<Vec<FlowFrame>, SpecError> {
    let macs = (source_mac.0, spec.destination_mac.unwrap_or(EtherAddr([0; 6])).0);
    let mut flows = Vec::new();
    for traffic in &spec.traffic {
        for index in 0..traffic.flows {
            let source =
                (traffic.source.at(index / traffic.source_ports.count()), traffic.source_ports.at(index));
            let destination = (
                traffic.destination.at(index),
                traffic.destination_ports.at(index / traffic.destination.count()),
            );
            let mark = Mark { run, time_ns: 0, flow: flows.len() as u32, number: 0 };
            let flow =
                FlowFrame::new(macs, source, destination, traffic.protocol, mark).map_err(|error| {
                    SpecError {
                        field: "traffic".to_owned(),
                        value: format!("{} to {}", source.0, destination.0),
                        remedy: error,
                    }
                })?;
            flows.push(flow);
        }
    }
    Ok(flows)
}

impl FlowFrame {
    fn new(
        macs: ([u8; 6], [u8; 6]),
        source: (IpAddr, u16),
        destination: (IpAddr, u16),
        protocol: Protocol,
        mark: Mark,
    ) -> Result<FlowFrame, String> {
        let ethernet = PacketBuilder::ethernet2(macs.0, macs.1);
        let (network, v6) = match (source.0, destination.0) {
            (IpAddr::V4(from), IpAddr::V4(to)) => (ethernet.ipv4(from.octets(), to.octets(), HOPS), false),
            (IpAddr::V6(from), IpAddr::V6(to)) => (ethernet.ipv6(from.octets(), to.octets(), HOPS), true),
            _ => return Err("must be of one family".to_owned()),
        };
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        let written = match protocol {
            Protocol::Udp => network.udp(source.1, destination.1).write(&mut bytes, &[]),
            Protocol::Tcp | Protocol::TcpSyn => {
                let mut tcp = TcpHeader::new(source.1, destination.1, 0, u16::MAX);
                tcp.syn = protocol == Protocol::TcpSyn;
                (tcp.ack, tcp.psh) = (!tcp.syn, !tcp.syn);
                network.tcp_header(tcp).write(&mut bytes, &[])
            }
        };
        written.map_err(|error| error.to_string())?;
        let marked = protocol != Protocol::TcpSyn;
        let mut kind = if v6 { kind::V6 } else { 0 } | if marked { kind::MARKED } else { 0 };
        if protocol != Protocol::Udp {
            kind |= kind::TCP;
        }
        let mut flow = FlowFrame { header: array(&bytes), ip_sum: 0, l4_sum: 0, number: 0, kind };
        let (l4, end) = (flow.l4(), flow.payload());
        if marked {
            put(&mut flow.header[end..], &mark.to_bytes());
        }
        // What is filled in for every frame is zero here, and in the sums.
        let lengths_and_checksums = match v6 {
            true => [ETHERNET + at::V6_LENGTH, ETHERNET + at::V6_LENGTH],
            false => [ETHERNET + at::V4_LENGTH, ETHERNET + at::V4_CHECKSUM],
        };
        let of_transport = match kind & kind::TCP {
            0 => [l4 + at::UDP_LENGTH, l4 + at::UDP_CHECKSUM],
            _ => [l4 + at::TCP_CHECKSUM; 2],
        };
        for offset in lengths_and_checksums.into_iter().chain(of_transport) {
            flow.header[offset..offset + 2].fill(0);
        }
        let addresses = if v6 { ETHERNET + 8..l4 } else { ETHERNET + 12..l4 };
        let number = if protocol == Protocol::Udp { 17_u8 } else { 6 };
        flow.ip_sum = sum(&flow.header[ETHERNET..l4]);
        flow.l4_sum = sum(&flow.header[addresses]) + sum(&[0, number]) + sum(&flow.header[l4..]);
        Ok(flow)
    }

    /// Writes the flow's next frame, `size` bytes of `frame`, sent at `time_ns`. A frame that is too short for a
    /// flow's headers, which a spec has no room for, is left as it is.
    #[inline]
    pub fn write(&mut self, frame: &mut [u8], size: usize, time_ns: u64) {
        let l4 = self.l4();
        let Some(frame) = frame.get_mut(..size).filter(|_| size >= self.payload()) else { return };
        let shared = size.min(HEADER_BYTES);
        frame[..shared].copy_from_slice(&self.header[..shared]);
        frame[shared..].fill(0);
        let number = self.number.to_be_bytes();
        self.number = self.number.wrapping_add(1);
        let length = ((size - l4) as u16).to_be_bytes();
        let mut total = u64::from(self.l4_sum) + u64::from(sum(&length));
        if self.kind & kind::V6 != 0 {
            put(&mut frame[ETHERNET + at::V6_LENGTH..], &length);
        } else {
            let length = ((size - ETHERNET) as u16).to_be_bytes();
            put(&mut frame[ETHERNET + at::V4_LENGTH..], &length);
            let sum = u64::from(self.ip_sum) + u64::from(sum(&length));
            put(&mut frame[ETHERNET + at::V4_CHECKSUM..], &checksum(sum));
        }
        if self.kind & kind::TCP != 0 {
            put(&mut frame[l4 + at::TCP_NUMBER..], &number);
            total += u64::from(sum(&number));
        } else {
            put(&mut frame[l4 + at::UDP_LENGTH..], &length);
            total += u64::from(sum(&length));
        }
        if self.kind & kind::MARKED != 0 {
            let mark = self.payload();
            let time = time_ns.to_be_bytes();
            put(&mut frame[mark + field::TIME.start..], &time[2..]);
            put(&mut frame[mark + field::NUMBER.start..], &number);
            total += u64::from(sum(&time[2..])) + u64::from(sum(&number));
        }
        let checksum = checksum(total);
        if self.kind & kind::TCP != 0 {
            put(&mut frame[l4 + at::TCP_CHECKSUM..], &checksum);
        } else {
            // Zero would say that there is none (RFC 768).
            let checksum = if checksum == [0, 0] { [0xff, 0xff] } else { checksum };
            put(&mut frame[l4 + at::UDP_CHECKSUM..], &checksum);
        }
    }

    /// Frames of it that have been written.
    pub fn written(&self) -> u32 {
        self.number
    }

    fn l4(&self) -> usize {
        ETHERNET + if self.kind & kind::V6 == 0 { 20 } else { 40 }
    }

    fn payload(&self) -> usize {
        self.l4() + if self.kind & kind::TCP == 0 { 8 } else { 20 }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{build::find_mark, spec::RawSpec};

    fn spec(protocol: &str, v6: bool) -> Spec {
        let (source, destination) =
            if v6 { ("fd00:1::/120", "fd00:96::10") } else { ("10.1.0.0/24", "10.96.0.10") };
        let yaml = format!(
            "{{interface: x, destinationMac: '02:00:00:00:00:02', packets: 1, size: 128, traffic: [{{protocol: \
             {protocol}, source: '{source}', sourcePorts: 1000-1009, destination: '{destination}', \
             destinationPorts: 80-81, flows: 100}}]}}"
        );
        RawSpec::parse(&yaml).unwrap().try_into().unwrap()
    }

    #[test]
    fn flows_differ_by_source_and_take_destinations_in_turn() {
        let spec = spec("udp", false);
        let mut flows = flows(&spec, EtherAddr([2, 0, 0, 0, 0, 1]), 7).unwrap();
        let mut seen = std::collections::BTreeSet::new();
        for flow in &mut flows {
            let mut frame = [0; 60];
            flow.write(&mut frame, 60, 1);
            let sliced = etherparse::SlicedPacket::from_ethernet(&frame).unwrap();
            let Some(etherparse::TransportSlice::Udp(udp)) = sliced.transport else { panic!("not UDP") };
            seen.insert((array::<4>(&frame[26..30]), udp.source_port()));
        }
        assert_eq!(seen.len(), 100);
        assert!(seen.contains(&([10, 1, 0, 10], 1009)));
    }

    proptest! {
        /// Against etherparse's own checksums and lengths, and our reader.
        #[test]
        fn frames_are_right(
            which in 0..3_usize, v6: bool, index in 0..100_usize, size in 96..1500_usize, time: u64, before in 0..3_u32,
        ) {
            let protocol = ["udp", "tcp", "tcp-syn"][which];
            let spec = spec(protocol, v6);
            let mut flow = flows(&spec, EtherAddr([2, 0, 0, 0, 0, 1]), 0xbeef).unwrap()[index];
            let mut frame = vec![0xaa; size];
            for _ in 0..=before {
                flow.write(&mut frame, size, time);
            }
            let packet = etherparse::PacketHeaders::from_ethernet_slice(&frame).unwrap();
            let payload = packet.payload.slice();
            let network = packet.net.unwrap();
            if let etherparse::NetHeaders::Ipv4(header, _) = &network {
                prop_assert_eq!(header.header_checksum, header.calc_header_checksum());
                prop_assert_eq!(usize::from(header.total_len), size - 14);
            }
            match packet.transport.unwrap() {
                etherparse::TransportHeader::Udp(udp) => {
                    let expected = match &network {
                        etherparse::NetHeaders::Ipv4(header, _) => udp.calc_checksum_ipv4(header, payload),
                        etherparse::NetHeaders::Ipv6(header, _) => udp.calc_checksum_ipv6(header, payload),
                        _ => unreachable!(),
                    };
                    prop_assert_eq!(udp.checksum, expected.unwrap());
                }
                etherparse::TransportHeader::Tcp(tcp) => {
                    let expected = match &network {
                        etherparse::NetHeaders::Ipv4(header, _) => tcp.calc_checksum_ipv4(header, payload),
                        etherparse::NetHeaders::Ipv6(header, _) => tcp.calc_checksum_ipv6(header, payload),
                        _ => unreachable!(),
                    };
                    prop_assert_eq!(tcp.checksum, expected.unwrap());
                    prop_assert_eq!((tcp.syn, tcp.ack), (which == 2, which == 1));
                    prop_assert_eq!(tcp.sequence_number, before);
                }
                _ => unreachable!(),
            }
            let mark = Mark { run: 0xbeef, time_ns: time & ((1 << 48) - 1), flow: index as u32, number: before };
            prop_assert_eq!(find_mark(&frame), (which != 2).then_some((mark, true)));
            if which != 2 {
                frame[size - 1] ^= 1;
                prop_assert_eq!(find_mark(&frame), Some((mark, false)));
            }
        }

        #[test]
        fn arbitrary_frames_have_no_mark_and_do_no_harm(bytes: Vec<u8>) {
            prop_assert_eq!(find_mark(&bytes), None);
        }
    }

    #[test]
    fn a_short_buffer_is_left_alone() {
        let mut flow = flows(&spec("udp", true), EtherAddr([2, 0, 0, 0, 0, 1]), 0).unwrap()[0];
        let mut frame = [0; 40];
        flow.write(&mut frame, 60, 0);
        flow.write(&mut frame, 40, 0);
        assert_eq!((frame, flow.written()), ([0; 40], 0));
    }
}
