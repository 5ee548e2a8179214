//! Building a frame for a stamp, and finding the stamp in a frame.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Result, bail};
use etherparse::{PacketBuilder, SlicedPacket, TcpHeader, TransportSlice};

use super::{MIN_PAYLOAD_BYTES, Stamp};

/// What carries the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// A datagram.
    Udp,
    /// A segment with ACK and PSH set, of no connection.
    Tcp,
}

/// Frames that differ by flow and number alone. Flow *f* has source port `source.port() + f`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameTemplate {
    /// MAC addresses, source first.
    pub macs: ([u8; 6], [u8; 6]),
    /// The source of flow 0.
    pub source: SocketAddr,
    /// The destination of all flows.
    pub destination: SocketAddr,
    /// What carries the payload.
    pub transport: Transport,
    /// Length of the payload.
    pub payload_bytes: usize,
}

impl FrameTemplate {
    /// Writes the frame for `stamp` in place of what `frame` holds. All checksums are computed.
    pub fn build(&self, stamp: Stamp, frame: &mut Vec<u8>) -> Result<()> {
        if self.payload_bytes < MIN_PAYLOAD_BYTES {
            bail!("a payload of {} bytes is too short: {MIN_PAYLOAD_BYTES} at least", self.payload_bytes);
        }
        let Some(source_port) =
            u16::try_from(stamp.flow).ok().and_then(|flow| self.source.port().checked_add(flow))
        else {
            bail!("flow {} has no source port: there are none beyond 65535", stamp.flow);
        };
        let mut payload = vec![0; self.payload_bytes];
        stamp.write(&mut payload);
        let ethernet = PacketBuilder::ethernet2(self.macs.0, self.macs.1);
        let network = match (self.source.ip(), self.destination.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                ethernet.ipv4(source.octets(), destination.octets(), 64)
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                ethernet.ipv6(source.octets(), destination.octets(), 64)
            }
            (source, destination) => bail!("{source} and {destination} are of different families"),
        };
        frame.clear();
        match self.transport {
            Transport::Udp => {
                network.udp(source_port, self.destination.port()).write_to_vec(frame, &payload)?
            }
            Transport::Tcp => {
                let mut header = TcpHeader::new(source_port, self.destination.port(), 0, 65535);
                header.sequence_number = u32::try_from(stamp.number & 0xffff_ffff)?.wrapping_mul(1500);
                header.ack = true;
                header.psh = true;
                network.tcp_header(header).write_to_vec(frame, &payload)?;
            }
        }
        Ok(())
    }
}

/// The UDP or TCP payload of a frame, if it has one.
pub fn read_payload(frame: &[u8]) -> Option<&[u8]> {
    match SlicedPacket::from_ethernet(frame).ok()?.transport? {
        TransportSlice::Udp(udp) => Some(udp.payload()),
        TransportSlice::Tcp(tcp) => Some(tcp.payload()),
        TransportSlice::Icmpv4(_) | TransportSlice::Icmpv6(_) | TransportSlice::Igmp(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn template(v6: bool, transport: Transport, payload_bytes: usize) -> FrameTemplate {
        let (source, destination) =
            if v6 { ("[fd00:1::2]:1000", "[fd00:96::10]:53") } else { ("10.1.0.2:1000", "10.96.0.10:53") };
        FrameTemplate {
            macs: ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]),
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
            transport,
            payload_bytes,
        }
    }

    #[test]
    fn a_frame_carries_its_stamp() {
        for v6 in [false, true] {
            for transport in [Transport::Udp, Transport::Tcp] {
                let mut frame = Vec::new();
                let stamp = Stamp { flow: 3, number: u64::from(u32::MAX) + 7 };
                template(v6, transport, 100).build(stamp, &mut frame).unwrap();
                assert_eq!(Stamp::read(read_payload(&frame).unwrap()), Ok(stamp));
                let expected = 14 + if v6 { 40 } else { 20 } + 100;
                assert_eq!(frame.len(), expected + if transport == Transport::Udp { 8 } else { 20 });
            }
        }
    }

    #[test]
    fn impossible_frames_are_refused() {
        let mut frame = Vec::new();
        let error = template(false, Transport::Udp, 8).build(Stamp { flow: 0, number: 0 }, &mut frame);
        assert!(error.unwrap_err().to_string().contains("too short"));
        let error = template(false, Transport::Udp, 64).build(Stamp { flow: 65_000, number: 0 }, &mut frame);
        assert!(error.unwrap_err().to_string().contains("no source port"));
        let mixed =
            FrameTemplate { source: "[::1]:1".parse().unwrap(), ..template(false, Transport::Udp, 64) };
        assert!(mixed.build(Stamp { flow: 0, number: 0 }, &mut frame).is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_frames_never_panic(bytes: Vec<u8>) {
            let _ = read_payload(&bytes);
        }
    }
}
