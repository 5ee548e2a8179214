//! The addresses and MACs of the test world, for both families.

use super::super::{Packet, Path, classify, packet::Arrivals};
use crate::{
    io::{BATCH, Frame, PortId},
    lane::{WorkerLane, classifier::Classifier},
    state::Flows,
    table::{Link, Snapshot, Tables},
    wire::{EtherAddr, EtherType, Family, V4, V6, VlanTag, VlanTags},
};
use arrayvec::ArrayVec;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The networks of the world; each is a 16-bit prefix with up to 65,536 hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Network {
    Clients = 1,
    Backends = 2,
    Vips = 3,
    /// Addresses of the gateway, NodePorts and SNAT among them.
    Node = 4,
    /// Clients that the local detector takes for pods.
    Pods = 5,
    /// Routers between the gateway and a host.
    Routers = 6,
}

/// A family with addresses for every [`Network`].
pub(crate) trait Net: Family {
    /// The bits of a network's prefix.
    const PREFIX_LEN: u8;
    fn addr(network: Network, host: u32) -> Self::Addr;
    fn tables(snapshot: &Snapshot) -> &Tables<Self>;
    fn tables_mut(snapshot: &mut Snapshot) -> &mut Tables<Self>;
    fn flows(path: &Path) -> &Flows<Self>;
    /// The family's of two.
    fn classifier(v4: Classifier<V4>, v6: Classifier<V6>) -> Classifier<Self>;
    /// The TCP or UDP packet in a frame.
    fn classify(frame: &Frame) -> Packet<Self> {
        Self::packets(frame).remove(0)
    }
    /// A worker's lanes, of which one is given and the other is one of two.
    fn with_other(
        mine: WorkerLane<Self>,
        others: (WorkerLane<V4>, WorkerLane<V6>),
    ) -> (WorkerLane<V4>, WorkerLane<V6>);
    /// What the parsers find in a frame, if it is TCP, UDP or SCTP of this family.
    fn packets(frame: &Frame) -> ArrayVec<Packet<Self>, BATCH>;
}

impl Net for V4 {
    const PREFIX_LEN: u8 = 16;

    fn addr(network: Network, host: u32) -> Ipv4Addr {
        Ipv4Addr::from(10 << 24 | u32::from(network as u8) << 16 | (host & 0xffff))
    }

    fn tables(snapshot: &Snapshot) -> &Tables<V4> {
        &snapshot.v4
    }

    fn tables_mut(snapshot: &mut Snapshot) -> &mut Tables<V4> {
        &mut snapshot.v4
    }

    fn flows(path: &Path) -> &Flows<V4> {
        path.flows_v4()
    }

    fn classifier(v4: Classifier<V4>, _: Classifier<V6>) -> Classifier<V4> {
        v4
    }

    fn with_other(
        mine: WorkerLane<V4>,
        others: (WorkerLane<V4>, WorkerLane<V6>),
    ) -> (WorkerLane<V4>, WorkerLane<V6>) {
        (mine, others.1)
    }

    fn packets(frame: &Frame) -> ArrayVec<Packet<V4>, BATCH> {
        classify_both(frame).0
    }
}

impl Net for V6 {
    const PREFIX_LEN: u8 = 32;

    fn addr(network: Network, host: u32) -> Ipv6Addr {
        let host = host.to_be_bytes();
        let half = |a, b| u16::from_be_bytes([a, b]);
        Ipv6Addr::new(0xfd00, network as u16, 7, 0, 0, 0, half(host[0], host[1]), half(host[2], host[3]))
    }

    fn tables(snapshot: &Snapshot) -> &Tables<V6> {
        &snapshot.v6
    }

    fn tables_mut(snapshot: &mut Snapshot) -> &mut Tables<V6> {
        &mut snapshot.v6
    }

    fn flows(path: &Path) -> &Flows<V6> {
        path.flows_v6()
    }

    fn classifier(_: Classifier<V4>, v6: Classifier<V6>) -> Classifier<V6> {
        v6
    }

    fn with_other(
        mine: WorkerLane<V6>,
        others: (WorkerLane<V4>, WorkerLane<V6>),
    ) -> (WorkerLane<V4>, WorkerLane<V6>) {
        (others.0, mine)
    }

    fn packets(frame: &Frame) -> ArrayVec<Packet<V6>, BATCH> {
        classify_both(frame).1
    }
}

/// The arrivals of both families.
fn classify_both(frame: &Frame) -> (ArrayVec<Packet<V4>, BATCH>, ArrayVec<Packet<V6>, BATCH>) {
    let (mut v4, mut v6) = (Arrivals::new(), Arrivals::new());
    let _ = classify::classify(frame, 0, &mut v4, &mut v6);
    (v4.unusual, v6.unusual)
}

/// Where clients are.
pub(crate) const CLIENT_PORT: PortId = PortId(0);
/// Where backends are.
pub(crate) const BACKEND_PORT: PortId = PortId(1);
/// The router that clients are behind.
pub(crate) const CLIENT_MAC: EtherAddr = EtherAddr([2, 0, 0, 1, 0, 0xcc]);

/// Our own MAC on a port.
pub(crate) fn our_mac(port: PortId) -> EtherAddr {
    EtherAddr([2, 0, 0, 0, 0xff, port.0])
}

/// The MAC of a backend.
pub(crate) fn backend_mac(backend: usize) -> EtherAddr {
    EtherAddr([2, 0, 0, 2, (backend >> 8) as u8, backend as u8])
}

/// The untagged link to a backend.
pub(crate) fn backend_link(backend: usize) -> Link {
    Link {
        port: BACKEND_PORT,
        source: our_mac(BACKEND_PORT),
        destination: backend_mac(backend),
        vlan: VlanTags::NONE,
    }
}

/// Tags with these VLAN ids, the outer one first; the outer of two is a service tag.
pub(crate) fn tags(ids: &[u16]) -> VlanTags {
    let mut tags = VlanTags::NONE;
    for (place, id) in ids.iter().enumerate() {
        let tpid = if ids.len() == 2 && place == 0 { EtherType::QINQ } else { EtherType::VLAN };
        assert!(tags.push(VlanTag { tpid, tci: *id }), "two tags at most");
    }
    tags
}
