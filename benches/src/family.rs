//! The addresses of the benchmarks, for both families.

use penstock_dataplane::{
    path::Path,
    state::Flows,
    table::{Snapshot, Tables},
    wire::{Family, V4, V6},
};
use std::net::Ipv6Addr;

/// A family with addresses by number, and its half of things.
pub trait Numbered: Family {
    /// As names in the report have it.
    const SHORT: &'static str;
    /// Bytes of an Ethernet frame without FCS that is "64 B" on the wire, or the smallest there is of the family.
    const FRAME_BYTES: usize;
    /// Host `number` of network `network`, of which there are 16.
    fn addr(network: u8, number: u32) -> Self::Addr;
    /// Its tables.
    fn tables_mut(snapshot: &mut Snapshot) -> &mut Tables<Self>;
    /// Its flows.
    fn flows(path: &Path) -> &Flows<Self>;
}

impl Numbered for V4 {
    const SHORT: &'static str = "v4";
    const FRAME_BYTES: usize = 60;

    fn addr(network: u8, number: u32) -> Self::Addr {
        (u32::from(network) << 24 | number & 0xff_ffff).into()
    }

    fn tables_mut(snapshot: &mut Snapshot) -> &mut Tables<V4> {
        &mut snapshot.v4
    }

    fn flows(path: &Path) -> &Flows<V4> {
        path.flows_v4()
    }
}

impl Numbered for V6 {
    const SHORT: &'static str = "v6";
    /// Ethernet, IPv6 and TCP headers alone are longer than 64 bytes.
    const FRAME_BYTES: usize = 74;

    fn addr(network: u8, number: u32) -> Self::Addr {
        let [a, b, c, d] = number.to_be_bytes().map(u16::from);
        Ipv6Addr::new(0xfd00, u16::from(network), 0, 0, 0, 0, a << 8 | b, c << 8 | d)
    }

    fn tables_mut(snapshot: &mut Snapshot) -> &mut Tables<V6> {
        &mut snapshot.v6
    }

    fn flows(path: &Path) -> &Flows<V6> {
        path.flows_v6()
    }
}
