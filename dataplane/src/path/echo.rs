//! Beside the road: echo requests to a VIP. They are nobody's flow and never go to a backend (§3.11).
//!
//! An address that we announce, such as a load-balancer IP, is ours to answer for; a cluster IP is not expected to
//! answer, so that a ping doesn't pass for a Service that works. Both by setting. Limited like all answers, but in a
//! bucket of their own: a flood of pings takes no answer from anybody else.

use super::{Answer, DropReason, ReplyKind, Stage, Verdict, icmp_error::nobodys, packet::IcmpPacket, reply};
use crate::{
    io::Frame,
    table::VipKind,
    wire::{Family, IcmpMessage, destination, source},
};

/// What is done with an echo request to a VIP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Echo {
    /// It is answered.
    Answer,
    /// It is dropped.
    #[default]
    Drop,
    /// Its sender is told that nobody is there (port unreachable, as kube-proxy does).
    Reject,
}

/// The settings for echo requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EchoPolicy {
    /// To load-balancer and external IPs.
    pub external: Echo,
    /// To cluster IPs.
    pub cluster_ip: Echo,
}

impl Default for EchoPolicy {
    fn default() -> Self {
        Self { external: Echo::Answer, cluster_ip: Echo::Drop }
    }
}

/// Deals with an echo request whose checksum is right.
pub(super) fn answer<F: Family>(
    stage: &mut Stage<'_, F>,
    packet: &IcmpPacket<F>,
    frame: &mut Frame,
) -> Verdict {
    let echo = match stage.tables.vips.addresses.get(&packet.destination) {
        Some(VipKind::ClusterIp) => stage.config.echo.cluster_ip,
        Some(VipKind::ExternalIp | VipKind::LoadBalancerIp | VipKind::NodePort) => stage.config.echo.external,
        None => return nobodys(stage, packet, DropReason::IcmpQuery),
    };
    if source(frame).is_multicast() || packet.source == packet.destination {
        // Whoever were answered is a group, or (LAND) the address itself.
        return Verdict::Drop(DropReason::Martian);
    }
    if echo == Echo::Drop {
        return Verdict::Drop(DropReason::IcmpQuery);
    }
    if destination(frame).is_multicast() {
        return Verdict::Drop(DropReason::ReplyForbidden);
    }
    if !stage.echoes.take(stage.now) {
        return Verdict::Drop(DropReason::ReplyLimited);
    }
    let (from, to) = (packet.destination, packet.source);
    let kind = if echo == Echo::Answer {
        let l3 = packet.layout.l3_mut(frame);
        // Both addresses stay in the header, so its checksum stays too.
        F::set_source(l3, from);
        F::set_destination(l3, to);
        F::set_hop_limit(l3, reply::HOP_LIMIT);
        let l4 = packet.layout.l4_mut(frame);
        IcmpMessage::<F>::set_echo_reply(l4);
        IcmpMessage::<F>::fill_checksum(l4, F::icmp_sum(from, to, l4.len() as u32));
        ReplyKind::Echo
    } else {
        if reply::icmp::<F>(&packet.layout, from, to, frame, Answer::Reject).is_err() {
            return Verdict::Drop(DropReason::ReplyForbidden);
        }
        ReplyKind::PortUnreachable
    };
    reply::send_back(&packet.layout, frame, kind)
}
