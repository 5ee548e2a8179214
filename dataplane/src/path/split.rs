//! Beside the road: a translated IPv4 packet that is longer than its way takes and may be fragmented (RFC 791 §3.2).
//!
//! In: the frame as it would leave. Out: the frames that leave instead, a header and a piece of the payload each. A
//! packet with options is not cut (their copying has rules of its own, and nobody sends them): the path drops it.

use super::packet::Packet;
use crate::wire::{Ethernet, Family, Fragment, V4};
use arrayvec::ArrayVec;

/// Pieces but the last are multiples of this.
const UNIT: usize = 8;
/// The longest Ethernet header with an IPv4 header behind it.
const LONGEST_HEAD: usize = 64;

/// Whether [`pieces`] can cut this packet for a way of `mtu` bytes.
pub(super) fn can_split<F: Family>(packet: &Packet<F>, mtu: u16) -> bool {
    let has_options = usize::from(packet.layout.l4 - packet.layout.l3) > F::MIN_HEADER;
    F::ADDR_LEN == 4 && !has_options && mtu >= F::MIN_MTU
}

/// Cuts an IPv4 packet into pieces of at most `mtu` bytes of IP, and passes each on as head and payload.
pub fn pieces(frame: &[u8], mtu: u16, mut piece: impl FnMut(&[u8], &[u8])) {
    let Ok(ethernet) = Ethernet::parse(frame) else { return };
    let (l3, packet) = (ethernet.payload_offset(), ethernet.payload());
    let Ok(header) = V4::parse(packet) else { return };
    let Ok(mut head) = ArrayVec::<u8, LONGEST_HEAD>::try_from(&frame[..l3 + V4::MIN_HEADER]) else { return };
    let payload = header.upper_layer(packet);
    let (start, more) = header.fragment.map_or((0, false), |part| (part.offset_bytes, part.more));
    let most = (usize::from(mtu).saturating_sub(V4::MIN_HEADER) / UNIT * UNIT).max(UNIT);
    for (number, chunk) in payload.chunks(most).enumerate() {
        let before = number * most;
        let part = Fragment {
            id: 0,
            offset_bytes: start + before as u16,
            more: more || before + chunk.len() < payload.len(),
        };
        V4::set_fragment(&mut head[l3..], (V4::MIN_HEADER + chunk.len()) as u16, part);
        piece(&head, chunk);
    }
}
