//! Packets for tests, well-formed or broken on purpose, and an eye of their own for checksums.
//!
//! A [`Packet`] is built whole (`packet`), then taken apart and spoilt step by step: each method changes one thing and
//! repairs nothing that it does not name. [`checks`] reads a frame with code of its own, so that what the dataplane
//! computes is held against something else. Addresses are those of one small network ([`Net`]), in both families.

mod net;
mod packet;
mod checks;

pub use checks::{Check, Checks, checks, crc32c, internet_checksum, quoted};
pub use net::{DNS, Net, SIGNALS, WEB};
pub use packet::{IcmpType, Packet, chunk};
