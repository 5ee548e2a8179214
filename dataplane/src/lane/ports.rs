//! Where redirects work: what workers ask before they promote a flow.

use crate::io::PortId;
use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Release},
};

/// The ports that the classifier may redirect to, which control says and workers read.
#[derive(Debug, Default)]
pub struct UsablePorts([AtomicU64; WORDS]);

const WORDS: usize = (u8::MAX as usize + 1) / BITS;
const BITS: usize = u64::BITS as usize;

impl UsablePorts {
    /// Whether redirects to a port work.
    pub fn contains(&self, port: PortId) -> bool {
        let (word, bit) = Self::place(port);
        self.0[word].load(Acquire) & bit != 0
    }

    /// Says that redirects to a port work, or that they do not.
    pub fn set(&self, port: PortId, usable: bool) {
        let (word, bit) = Self::place(port);
        match usable {
            true => self.0[word].fetch_or(bit, Release),
            false => self.0[word].fetch_and(!bit, Release),
        };
    }

    fn place(port: PortId) -> (usize, u64) {
        let port = usize::from(port.0);
        (port / BITS, 1 << (port % BITS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_port_is_its_own() {
        let ports = UsablePorts::default();
        for port in [0, 63, 64, 255].map(PortId) {
            assert!(!ports.contains(port));
            ports.set(port, true);
            assert!(ports.contains(port));
        }
        ports.set(PortId(63), false);
        let usable: Vec<_> = (0..=255).filter(|port| ports.contains(PortId(*port))).collect();
        assert_eq!(usable, [0, 64, 255]);
    }
}
