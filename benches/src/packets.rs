//! Packets, written into frames: right in all checksums, the smallest their protocol has (or 64 bytes).

use crate::family::Numbered;
use penstock_dataplane::{
    io::Frame,
    state::Tuple,
    table::Transport,
    wire::{IpProtocol, Sum, Tcp, TcpFlags, Udp},
};

const ETHERNET: usize = 14;

/// Writes a packet with this tuple. `frame` has room.
pub fn write<F: Numbered>(frame: &mut Frame, tuple: &Tuple<F>, flags: TcpFlags) {
    let ip = ip_bytes::<F>(tuple.transport);
    frame.resize(F::FRAME_BYTES.max(ETHERNET + ip)).expect("room for the smallest packet");
    let port = frame.port().0;
    frame[..6].copy_from_slice(&[2, 0, 0, 0, 0xff, port]);
    frame[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 9]);
    frame[12..ETHERNET].copy_from_slice(&F::ETHER_TYPE.0.to_be_bytes());
    let (l3, l4) = frame[ETHERNET..ETHERNET + ip].split_at_mut(F::MIN_HEADER);
    l4.fill(0);
    l4[..2].copy_from_slice(&tuple.source_port.to_be_bytes());
    l4[2..4].copy_from_slice(&tuple.destination_port.to_be_bytes());
    let protocol = tuple.transport.protocol();
    let pseudo = F::pseudo_header_sum(tuple.source, tuple.destination, protocol, l4.len() as u32);
    if tuple.transport == Transport::Udp {
        let len = (l4.len() as u16).to_be_bytes();
        l4[4..6].copy_from_slice(&len);
        Udp::fill_checksum(l4, pseudo);
    } else {
        (l4[12], l4[13]) = (5 << 4, flags.0);
        if flags.contains(TcpFlags::ACK) {
            // Nobody who has acknowledged nothing is in a connection.
            l4[8..12].copy_from_slice(&1_u32.to_be_bytes());
        }
        Tcp::fill_checksum(l4, pseudo);
    }
    network(l3, tuple, protocol, ip);
}

/// The bytes of IP in a packet of this protocol.
pub fn ip_bytes<F: Numbered>(transport: Transport) -> usize {
    F::MIN_HEADER + if transport == Transport::Udp { 8 } else { 20 }
}

fn network<F: Numbered>(l3: &mut [u8], tuple: &Tuple<F>, protocol: IpProtocol, total: usize) {
    l3.fill(0);
    if F::ADDR_LEN == 4 {
        (l3[0], l3[6], l3[8], l3[9]) = (0x45, 0x40, 64, protocol.0);
        l3[2..4].copy_from_slice(&(total as u16).to_be_bytes());
    } else {
        (l3[0], l3[6], l3[7]) = (0x60, protocol.0, 64);
        l3[4..6].copy_from_slice(&((total - F::MIN_HEADER) as u16).to_be_bytes());
    }
    F::set_source(l3, tuple.source);
    F::set_destination(l3, tuple.destination);
    if F::ADDR_LEN == 4 {
        Sum::of(l3).checksum().write(l3, 10);
    }
}
