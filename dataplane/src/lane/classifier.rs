//! A stand-in for the classifier: it does by the rules of `xdp/lane.bpf.h` what that does, on the same memory, in plain code.

use super::{Epoch, Hops, Key, Keys, Memory, Slot, SlotRef, UsablePorts};
use crate::{
    io::PortId,
    state::{Millis, Tuple},
    table::{Link, Transport},
    wire::{
        Delta, Ethernet, Family, IpProtocol, Tcp, TcpFlags, Udp, ports, set_destination, set_source,
        translate_ports, write_tags,
    },
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, atomic::Ordering::Relaxed},
};

/// The index, as all who hold it see it.
#[derive(Debug, Clone)]
pub(crate) struct Index<F: Family>(Arc<Mutex<IndexState<F>>>);

#[derive(Debug)]
pub(crate) struct IndexState<F: Family> {
    pub(crate) slots: HashMap<Tuple<F>, SlotRef>,
    /// The most keys it takes.
    pub(crate) room: usize,
    /// How many keys each call had.
    pub(crate) calls: Vec<usize>,
}

impl<F: Family> Index<F> {
    pub(crate) fn new(room: usize) -> Self {
        Self(Arc::new(Mutex::new(IndexState { slots: HashMap::new(), room, calls: Vec::new() })))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, IndexState<F>> {
        self.0.lock().unwrap()
    }
}

impl<F: Family> Keys<F> for Index<F> {
    fn insert(&mut self, keys: &[Key<F>]) -> usize {
        let mut state = self.lock();
        state.calls.push(keys.len());
        for (count, key) in keys.iter().enumerate() {
            if state.slots.len() == state.room && !state.slots.contains_key(&key.tuple) {
                return count;
            }
            state.slots.insert(key.tuple, key.slot);
        }
        keys.len()
    }

    fn remove(&mut self, tuples: &[Tuple<F>]) {
        let mut state = self.lock();
        state.calls.push(tuples.len());
        state.slots.retain(|tuple, _| !tuples.contains(tuple));
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Classifier<F: Family> {
    pub(crate) slots: Arc<Memory<Slot<F>>>,
    pub(crate) hops: Hops,
    pub(crate) index: Index<F>,
    pub(crate) usable: Arc<UsablePorts>,
    /// Those in force, of TCP and of UDP.
    pub(crate) epochs: [Epoch; 2],
}

/// What left, and by which slot.
#[derive(Debug)]
pub(crate) struct Redirected {
    pub(crate) port: PortId,
    pub(crate) frame: Vec<u8>,
    pub(crate) slot: SlotRef,
}

impl<F: Family> Classifier<F> {
    /// What the classifier makes of a frame that comes to `port` at `now`. `None`: it is the worker's.
    pub(crate) fn run(&self, port: PortId, frame: &[u8], now: Millis) -> Option<Redirected> {
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
        let named = *self.index.lock().slots.get(&tuple)?;
        let slot = &self.slots[named.0 as u32 as usize];
        let (generation, entry) = slot.read()?;
        let in_force = self.epochs[usize::from(transport == Transport::Udp)];
        if u64::from(generation) != named.0 >> 32 || entry.arrives != tuple || entry.epoch != in_force {
            return None;
        }
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
        slot.last_seen.store(((u64::from(now.0) * 1_000_000) >> 20) as u32, Relaxed);
        if transport == Transport::Tcp {
            slot.acked.store(acked, Relaxed);
        }
        let mut out = frame.to_vec();
        let start = ethernet.payload_offset();
        out.truncate(start + usize::from(header.total_len));
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
}
