//! What a slot is held against before it is used: one number, of which there are four, by family and protocol.
//!
//! A slot is used while its epoch is the one in force. UDP's changes whenever UDP endpoints do
//! ([`Tables::udp_epoch`](crate::table::Tables::udp_epoch)): then every flow's next packet comes to its worker, which
//! looks whether its backend serves still, and if so gives the slot the new epoch. All of them change when the lane is to be
//! empty at once.

use crate::table::Transport;

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epoch(pub u32);

impl Epoch {
    /// The epoch of slots of this protocol: `flush` counts how often the lane was emptied, modulo 2¹⁵. The lowest bit
    /// tells UDP from TCP.
    pub fn new(flush: u16, transport: Transport, udp_epoch: u16) -> Self {
        let of_protocol = match transport {
            Transport::Udp => u32::from(udp_epoch) << 1 | 1,
            Transport::Tcp | Transport::Sctp => 0,
        };
        Self(u32::from(flush) << 17 | of_protocol)
    }

    /// The protocol of its slots.
    pub fn transport(self) -> Transport {
        if self.0 & 1 == 1 { Transport::Udp } else { Transport::Tcp }
    }
}
