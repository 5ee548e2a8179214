//! Last stage: the link layer of the way out.

use super::{DropReason, Verdict, packet::Layout};
use crate::{
    io::Frame,
    table::Link,
    wire::{EtherType, Ethernet, VlanTags, set_addresses, write_tags},
};

/// Readies a frame for `link`, with that link's tags.
#[inline]
pub(super) fn send(frame: &mut Frame, layout: &Layout, link: &Link) -> Verdict {
    if link.vlan != layout.vlan && retag(frame, layout, link.vlan).is_err() {
        return Verdict::Drop(DropReason::TooBig);
    }
    set_addresses(frame, &link.destination, &link.source);
    Verdict::Forward(link.port)
}

/// Gives a frame other tags. Where there are more or fewer of them the packet moves, since a frame's start cannot, and what
/// is behind it is lost.
#[cold]
fn retag(frame: &mut Frame, layout: &Layout, vlan: VlanTags) -> Result<(), crate::io::FrameTooSmall> {
    let (l3, end) = (usize::from(layout.l3), usize::from(layout.end));
    let ether_type = Ethernet::parse(frame).map_or(EtherType::default(), |ethernet| ethernet.ether_type());
    if vlan.len() != layout.vlan.len() {
        let header_len = Ethernet::LEN + vlan.len() * EtherType::TAG_LEN;
        let len = header_len + (end - l3);
        if len > frame.len() {
            frame.resize(len)?;
        }
        frame.copy_within(l3..end, header_len);
        frame.resize(len)?;
    }
    write_tags(frame, vlan, ether_type);
    Ok(())
}
