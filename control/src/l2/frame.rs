//! ARP and neighbour discovery as announcing needs them: what a frame asks and claims, and the frames to be sent.
//!
//! In: Ethernet frames without VLAN tags. Out: [`Heard`]; what is malformed, or not for us by its link-layer address,
//! says nothing. RFC 826, 5227 (ARP), 4861 §4.3, §4.4, §7.1, §7.2 (ND).
//!
//! An advertisement comes from the address that it is about, as a Linux host sends it, so the interface needs no
//! link-local address of its own. Solicited ones have the override flag clear, since the address may be moving; so have
//! the answers to duplicate address detection, which MetalLB does not give: a gateway that takes over asks in this way.

use etherparse::{IpNumber, Ipv6FlowLabel, Ipv6Header};
use penstock_dataplane::wire::{
    Arp, ArpOperation, EtherAddr, EtherType, Ethernet, Family, Icmpv6, IpProtocol, ND_HOP_LIMIT,
    NeighbourAdvertisement, NeighbourSolicitation, ParseError, V6, VlanTags, set_destination, set_source,
    solicited_node, write_tags,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where unsolicited advertisements go (RFC 4861 §7.2.6).
pub(super) const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// The longest frame that can be of interest; what is behind it is cut off, and the frame refused.
pub(super) const MAX_LEN: usize = 1514;

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asker {
    /// Its link-layer address.
    pub(super) ether: EtherAddr,
    /// Its address; the unspecified one in a probe, from somebody who would like to have the address asked for.
    pub(super) address: IpAddr,
}

/// What a frame says. An ARP request does both: it asks for one address, and claims another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Heard {
    /// Who has this address?
    pub(super) asked: Option<(IpAddr, Asker)>,
    /// This address is at that link-layer address.
    pub(super) claimed: Option<Claimed>,
}

/// Somebody has an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Claimed {
    /// The address.
    pub(super) address: IpAddr,
    /// Who.
    pub(super) ether: EtherAddr,
    /// It says so because it was asked, as a former owner does by our probe.
    pub(super) is_answer: bool,
}

impl Heard {
    /// Reads a frame that came in on an interface with this link-layer address.
    pub(super) fn read(frame: &[u8], own: EtherAddr) -> Self {
        let Ok(ethernet) = Ethernet::parse(frame) else { return Self::default() };
        let to = ethernet.destination();
        if !ethernet.vlan().is_empty() || !(to == own || to.is_multicast()) {
            return Self::default();
        }
        let heard = match ethernet.ether_type() {
            EtherType::ARP if to == own || to.is_broadcast() => arp(ethernet.payload(), to == own),
            EtherType::IPV6 => nd(&ethernet),
            _ => return Self::default(),
        };
        heard.unwrap_or_default()
    }
}

fn arp(payload: &[u8], is_for_us: bool) -> Result<Heard, ParseError> {
    let Arp { operation, sender_ether: ether, sender, target, .. } = Arp::parse(payload)?;
    // To answer a group would be to answer for somebody else.
    if !ether.is_unicast() {
        return Ok(Heard::default());
    }
    let asked = operation == ArpOperation::Request && sender != target;
    let is_answer = operation == ArpOperation::Reply && is_for_us;
    let address = IpAddr::from(sender);
    Ok(Heard {
        asked: asked.then(|| (target.into(), Asker { ether, address })),
        claimed: (!address.is_unspecified()).then_some(Claimed { address, ether, is_answer }),
    })
}

fn nd(ethernet: &Ethernet<'_>) -> Result<Heard, ParseError> {
    let l3 = ethernet.payload();
    let header = V6::parse(l3)?;
    let (source, destination) = (V6::source(l3), V6::destination(l3));
    let l4 = header.upper_layer(l3);
    let is_message = header.protocol == IpProtocol::ICMPV6
        && header.hop_limit == ND_HOP_LIMIT
        && header.fragment.is_none()
        && Icmpv6::parse(l4)?.checksum_is_valid(V6::icmp_sum(source, destination, header.upper_len().into()));
    if !is_message || source.is_multicast() || !ethernet.source().is_unicast() {
        return Ok(Heard::default());
    }
    let mut heard = Heard::default();
    if let Ok(NeighbourSolicitation { target, source_ether }) = NeighbourSolicitation::parse(l4) {
        let is_to_group = destination == solicited_node(target);
        // Duplicate address detection goes to the group, and says no link-layer address (RFC 4861 §7.1.1).
        let is_valid = if source.is_unspecified() {
            is_to_group && source_ether.is_none()
        } else {
            is_to_group || destination == target
        };
        let ether = source_ether.unwrap_or(ethernet.source());
        if is_valid && ether.is_unicast() {
            heard.asked = Some((target.into(), Asker { ether, address: source.into() }));
        }
    } else if let Ok(told) = NeighbourAdvertisement::parse(l4) {
        let ether = told.target_ether.unwrap_or(ethernet.source());
        // What answers a question goes to who asked it (RFC 4861 §7.1.2).
        if !(destination.is_multicast() && told.solicited) && ether.is_unicast() {
            // The answer to our probe goes to all nodes, too; it is told apart by not replacing what they know.
            let is_answer = !destination.is_multicast() || !told.replace;
            heard.claimed = Some(Claimed { address: told.target.into(), ether, is_answer });
        }
    }
    Ok(heard)
}

/// Something to be sent about an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Say {
    /// We have it: to somebody who asked.
    Answer(IpAddr, Asker),
    /// We have it: to all, unasked.
    Announce(IpAddr),
    /// Does anybody have it? Without a claim to it yet.
    Probe(IpAddr),
}

impl Say {
    /// The frames that say so, from an interface with this link-layer address.
    pub(super) fn frames(self, own: EtherAddr) -> Vec<Vec<u8>> {
        let frames = match self {
            Self::Answer(IpAddr::V4(address), Asker { ether, address: IpAddr::V4(asker) }) => {
                let request = Arp::request(ether, asker, address);
                vec![arp_frame(own, ether, request.reply(own))]
            }
            Self::Answer(IpAddr::V6(address), Asker { ether, address: IpAddr::V6(asker) }) => {
                let is_probe = asker.is_unspecified();
                let (to, ether) =
                    if is_probe { (ALL_NODES, EtherAddr::of_multicast(ALL_NODES)) } else { (asker, ether) };
                vec![advertisement(own, ether, address, to, !is_probe, false)]
            }
            // A question in one family cannot be about the other.
            Self::Answer(..) => Vec::new(),
            Self::Announce(IpAddr::V4(address)) => [ArpOperation::Request, ArpOperation::Reply]
                .map(|operation| gratuitous(own, address, operation))
                .into(),
            Self::Announce(IpAddr::V6(address)) => {
                let group = EtherAddr::of_multicast(ALL_NODES);
                vec![advertisement(own, group, address, ALL_NODES, false, true)]
            }
            Self::Probe(IpAddr::V4(address)) => {
                let probe = Arp::request(own, Ipv4Addr::UNSPECIFIED, address);
                vec![arp_frame(own, EtherAddr::BROADCAST, probe)]
            }
            Self::Probe(IpAddr::V6(address)) => vec![solicitation(own, address)],
        };
        // The buffers are as long as the messages, so none is missing.
        frames.into_iter().flatten().collect()
    }
}

/// As MetalLB sends it: the target's link-layer address is that of all.
fn gratuitous(own: EtherAddr, address: Ipv4Addr, operation: ArpOperation) -> Option<Vec<u8>> {
    let arp = Arp {
        operation,
        sender_ether: own,
        sender: address,
        target_ether: EtherAddr::BROADCAST,
        target: address,
    };
    arp_frame(own, EtherAddr::BROADCAST, arp)
}

fn arp_frame(own: EtherAddr, to: EtherAddr, arp: Arp) -> Option<Vec<u8>> {
    let mut frame = ethernet(own, to, EtherType::ARP, Arp::LEN);
    arp.write(&mut frame[Ethernet::LEN..]).ok()?;
    Some(frame)
}

fn advertisement(
    own: EtherAddr,
    to: EtherAddr,
    target: Ipv6Addr,
    destination: Ipv6Addr,
    solicited: bool,
    replace: bool,
) -> Option<Vec<u8>> {
    let told = NeighbourAdvertisement { target, router: false, solicited, replace, target_ether: Some(own) };
    let mut message = [0; NeighbourAdvertisement::MAX_LEN];
    let length = told.write(&mut message, target, destination).ok()?;
    nd_frame((own, to), (target, destination), &message[..length])
}

fn solicitation(own: EtherAddr, target: Ipv6Addr) -> Option<Vec<u8>> {
    let group = solicited_node(target);
    let mut message = [0; NeighbourSolicitation::MAX_LEN];
    let asked = NeighbourSolicitation { target, source_ether: None };
    let length = asked.write(&mut message, Ipv6Addr::UNSPECIFIED, group).ok()?;
    nd_frame((own, EtherAddr::of_multicast(group)), (Ipv6Addr::UNSPECIFIED, group), &message[..length])
}

fn nd_frame(ends: (EtherAddr, EtherAddr), ips: (Ipv6Addr, Ipv6Addr), message: &[u8]) -> Option<Vec<u8>> {
    let header = Ipv6Header {
        traffic_class: 0,
        flow_label: Ipv6FlowLabel::ZERO,
        payload_length: u16::try_from(message.len()).ok()?,
        next_header: IpNumber::IPV6_ICMP,
        hop_limit: ND_HOP_LIMIT,
        source: ips.0.octets(),
        destination: ips.1.octets(),
    };
    let mut frame = ethernet(ends.0, ends.1, EtherType::IPV6, 0);
    frame.extend(header.to_bytes());
    frame.extend(message);
    Some(frame)
}

/// An Ethernet header, and room for a payload.
fn ethernet(from: EtherAddr, to: EtherAddr, ether_type: EtherType, payload: usize) -> Vec<u8> {
    let mut frame = vec![0; Ethernet::LEN + payload];
    set_source(&mut frame, from);
    set_destination(&mut frame, to);
    write_tags(&mut frame, VlanTags::NONE, ether_type);
    frame
}

#[cfg(test)]
mod tests;
