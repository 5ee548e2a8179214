//! A stand-in for the classifier: it does by the rules of `xdp/lane.bpf.h` what that does, on the same memory, in plain code.

use super::{Epoch, Hops, Index, Memory, Notices, Slot, SlotId, UsablePorts};
use crate::{
    io::PortId,
    state::Tuple,
    table::{Link, Transport},
    wire::{
        Delta, Ethernet, Family, IpProtocol, Tcp, TcpFlags, Udp, ports, set_destination, set_source,
        translate_ports, write_tags,
    },
};
use std::sync::{Arc, atomic::Ordering::Relaxed};

/// See the module.
#[derive(Debug)]
pub(crate) struct Classifier<F: Family> {
    pub(crate) slots: Arc<Memory<Slot<F>>>,
    pub(crate) hops: Hops,
    pub(crate) index: Index,
    pub(crate) usable: Arc<UsablePorts>,
    pub(crate) notices: Arc<Memory<Notices>>,
}

/// What left, and by which slot.
#[derive(Debug)]
pub(crate) struct Redirected {
    pub(crate) port: PortId,
    pub(crate) frame: Vec<u8>,
    pub(crate) slot: SlotId,
}

impl<F: Family> Classifier<F> {
    /// What the classifier makes of a frame that comes to `port`. `None`: it is the worker's.
    pub(crate) fn run(&self, port: PortId, frame: &[u8]) -> Option<Redirected> {
        let ethernet =
            Ethernet::parse(frame).ok().filter(|ethernet| ethernet.ether_type() == F::ETHER_TYPE)?;
        let l3 = ethernet.payload();
        let header = F::parse(l3).ok()?;
        let transport = Transport::from_protocol(header.protocol)?;
        let l4 = header.upper_layer(l3);
        let acked = match header.protocol {
            IpProtocol::TCP => {
                let tcp = Tcp::parse(l4).ok()?;
                let these = [TcpFlags::SYN, TcpFlags::FIN, TcpFlags::RST];
                let is_steady = tcp.flags().contains(TcpFlags::ACK)
                    && !these.iter().any(|flag| tcp.flags().contains(*flag));
                is_steady.then(|| tcp.ack())?
            }
            IpProtocol::UDP => Udp::parse(l4).ok()?.require_checksum::<F>().ok().map(|()| 0)?,
            _ => return None,
        };
        let is_plain = usize::from(header.header_len) == F::MIN_HEADER && header.fragment.is_none();
        if !is_plain || header.hop_limit <= 1 {
            return None;
        }
        let (source_port, destination_port) = ports(l4)?;
        let (source, destination) = (F::source(l3), F::destination(l3));
        let tuple = Tuple { source, destination, source_port, destination_port, transport };
        let in_force = self.epoch(transport);
        let (named, slot, entry) = self.index.named(&tuple).find_map(|named| {
            let slot = self.slots.get(named.0 as usize)?;
            let entry = slot.read().filter(|entry| entry.arrives == tuple && entry.epoch == in_force)?;
            Some((named, slot, entry))
        })?;
        let (link, mtu) = self.hops.get(entry.hop)?;
        let arrival = Link {
            port,
            source: ethernet.destination(),
            destination: ethernet.source(),
            vlan: ethernet.vlan(),
        };
        let came_by = entry.came_by.map(|hop| self.hops.get(hop).map(|(link, _)| link));
        if came_by.is_some_and(|way| way != Some(arrival))
            || header.total_len > mtu
            || link.vlan.len() != arrival.vlan.len()
            || !self.usable.contains(link.port)
        {
            return None;
        }
        slot.packets.fetch_add(1, Relaxed);
        slot.bytes.fetch_add(u64::from(header.total_len), Relaxed);
        slot.last_seen.store(self.notices[0].now().0, Relaxed);
        if transport == Transport::Tcp {
            slot.acked.store(acked, Relaxed);
        }
        let mut out = frame.to_vec();
        let start = ethernet.payload_offset();
        let leaves = entry.leaves;
        F::translate(&mut out[start..], leaves.source, leaves.destination, entry.deltas.header);
        let l4 = &mut out[start + usize::from(header.header_len)..];
        let (from, to) = (leaves.source_port, leaves.destination_port);
        let delta: Delta = entry.deltas.transport;
        translate_ports(l4, transport == Transport::Udp, from, to, delta);
        set_source(&mut out, link.source);
        set_destination(&mut out, link.destination);
        write_tags(&mut out, link.vlan, F::ETHER_TYPE);
        Some(Redirected { port: link.port, frame: out, slot: named })
    }

    /// The epoch in force.
    pub(crate) fn epoch(&self, transport: Transport) -> Epoch {
        self.notices[0].epoch(F::ADDR_LEN == 16, transport)
    }
}
