//! Whose packet is this? Each flow belongs to one worker, and both of its directions must meet there.
//!
//! Where nothing is known about how queues are chosen, the owner of a packet follows from the packet:
//! of one to a SNAT address from its port, which was chosen so (port mod workers); of one to a VIP or a NodePort from
//! its source, the client; of one back to a client that kept its address from its destination, again the client.
//! An ICMP error belongs to the owner of the packet it quotes, a fragment to that of its first, whose ports all workers
//! know (`state/fragments.rs`). With one worker there is nothing to decide, and it
//! costs nothing.

use super::{
    Verdict,
    packet::{IcmpAbout, IcmpPacket, Packet},
};
use crate::{
    io::BATCH,
    state::{SnatPorts, Tuple},
    table::{FlowHash, Tables},
    wire::Family,
};
use arrayvec::ArrayVec;

/// The rule by which a worker knows its own packets.
#[derive(Debug, Clone)]
pub struct Steering {
    /// The worker's SNAT ports.
    pub ports: SnatPorts,
    worker: u16,
    workers: u16,
}

impl Steering {
    /// The rule for `worker` of `workers`.
    pub fn new(ports: SnatPorts, worker: u16, workers: u16) -> Self {
        Self { ports, worker, workers }
    }

    /// Which worker this is.
    pub fn worker(&self) -> u16 {
        self.worker
    }

    /// The owner of a packet with this tuple.
    pub fn owner<F: Family>(&self, tuple: &Tuple<F>, tables: &Tables<F>) -> u16 {
        if self.workers == 1 {
            return self.worker;
        }
        let own = tables.is_own(tuple.destination);
        if own
            && let Some(owner) = self.ports.owner(tuple.destination_port)
            // A VIP may be one of our addresses too and serve a port of the range, which is then no SNAT port.
            && !tables.vips.serves(tuple.destination, tuple.transport, tuple.destination_port)
        {
            return owner;
        }
        let to_us = own || tables.vips.captures(tuple.destination);
        self.of_client::<F>(if to_us { tuple.source } else { tuple.destination })
    }

    /// Whether a packet with this tuple is this worker's.
    pub(super) fn is_mine<F: Family>(&self, tuple: &Tuple<F>, tables: &Tables<F>) -> bool {
        self.owner(tuple, tables) == self.worker
    }

    #[inline]
    fn of_client<F: Family>(&self, client: F::Addr) -> u16 {
        (((FlowHash::of_client::<F>(client) >> 32) * u64::from(self.workers)) >> 32) as u16
    }
}

/// Takes out of a batch what is another worker's, and says whose.
///
/// A packet quoted by an ICMP error was sent towards whoever complains, so the answer to it is what would arrive here.
pub(super) fn batch<F: Family>(
    steering: &Steering,
    tables: &Tables<F>,
    packets: &mut ArrayVec<Packet<F>, BATCH>,
    icmp: &mut ArrayVec<IcmpPacket<F>, BATCH>,
    verdicts: &mut [Verdict],
) {
    if steering.workers == 1 {
        return;
    }
    let mut stays = |tuple: &Tuple<F>, index: u8| {
        let owner = steering.owner(tuple, tables);
        if owner != steering.worker {
            verdicts[usize::from(index)] = Verdict::Handoff(owner);
        }
        owner == steering.worker
    };
    packets.retain(|packet| stays(&packet.tuple, packet.index));
    icmp.retain(|packet| match packet.about {
        IcmpAbout::Error(quoted) => stays(&quoted.reversed(), packet.index),
        IcmpAbout::Echo | IcmpAbout::Other => true,
    });
}
