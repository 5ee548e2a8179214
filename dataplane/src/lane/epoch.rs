//! What a slot is held against before it is used: one number, of which there are four, by family and protocol.
//!
//! A slot is used while its epoch is the one in force. UDP's changes whenever UDP endpoints do
//! ([`Tables::udp_epoch`](crate::table::Tables::udp_epoch)): then every flow's next packet comes to its worker, which
//! looks whether its backend serves still, and if so gives the slot the new epoch. All of them change when the lane is to be
//! empty at once.

use crate::table::Transport;
use std::sync::atomic::{
    AtomicU16,
    Ordering::{Acquire, Release},
};

/// How often the lane was emptied, modulo 2¹⁴, as control tells workers.
#[derive(Debug, Default)]
pub struct Flushes(AtomicU16);

impl Flushes {
    /// How often by now.
    pub fn get(&self) -> u16 {
        self.0.load(Acquire)
    }

    /// Says how often.
    pub fn set(&self, flushes: u16) {
        self.0.store(flushes, Release);
    }
}

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epoch(pub u32);

impl Epoch {
    /// That of a slot which is nobody's. It is never in force.
    pub const NONE: Self = Self(0);

    /// How many flushes there are before the first comes again.
    pub const FLUSHES: u16 = 1 << 14;

    /// The epoch of slots of this protocol: `flush` counts how often the lane was emptied, modulo [`FLUSHES`](Self::FLUSHES).
    /// The lowest bit tells UDP from TCP, the highest an epoch from none.
    pub fn new(flush: u16, transport: Transport, udp_epoch: u16) -> Self {
        let of_protocol = match transport {
            Transport::Udp => u32::from(udp_epoch) << 1 | 1,
            Transport::Tcp | Transport::Sctp => 0,
        };
        Self(1 << 31 | u32::from(flush % Self::FLUSHES) << 17 | of_protocol)
    }

    /// The protocol of its slots.
    pub fn transport(self) -> Transport {
        if self.0 & 1 == 1 { Transport::Udp } else { Transport::Tcp }
    }

    /// How often the lane had been emptied.
    pub fn flushes(self) -> u16 {
        (self.0 >> 17) as u16 % Self::FLUSHES
    }

    /// Which of UDP's epochs it is; of TCP, 0.
    pub fn udp_epoch(self) -> u16 {
        (self.0 >> 1) as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_is_what_it_was_made_of() {
        for (flushes, udp_epoch) in [(0, 0), (1, 0), (0x3fff, 0xffff), (0, 0x8000)] {
            let udp = Epoch::new(flushes, Transport::Udp, udp_epoch);
            assert_eq!(
                (udp.flushes(), udp.udp_epoch(), udp.transport()),
                (flushes, udp_epoch, Transport::Udp)
            );
            let tcp = Epoch::new(flushes, Transport::Tcp, udp_epoch);
            assert_eq!((tcp.flushes(), tcp.udp_epoch(), tcp.transport()), (flushes, 0, Transport::Tcp));
        }
    }
}
