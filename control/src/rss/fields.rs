//! Which fields are hashed for which kind of packet: told with the rest since Linux 6.17, before that by an ioctl.
//!
//! In: bits of `RXH_` (linux/ethtool.h). Out: what the packet path can compute, else "unknown".

use crate::doctor::hash_fields;
use penstock_dataplane::{
    table::{Hashed, HashedFields, Transport},
    wire::{V4, V6},
};
use std::{collections::BTreeMap, io};

/// `RXH_IP_SRC | RXH_IP_DST`.
const ADDRESSES: u64 = 1 << 4 | 1 << 5;
/// `RXH_L4_B_0_1 | RXH_L4_B_2_3`: source and destination port.
const PORTS: u64 = 1 << 6 | 1 << 7;

/// A kind of packet: `ETHTOOL_A_FLOW_`, and `_FLOW` of the ioctl.
const KINDS: [(Transport, bool, u16, u32); 6] = [
    (Transport::Tcp, false, 4, 0x01),
    (Transport::Tcp, true, 5, 0x05),
    (Transport::Udp, false, 6, 0x02),
    (Transport::Udp, true, 7, 0x06),
    (Transport::Sctp, false, 8, 0x03),
    (Transport::Sctp, true, 9, 0x07),
];

/// The hashed fields of an interface. `told` is what netlink says.
pub(super) fn of(interface: &str, told: Option<&BTreeMap<u16, u64>>) -> HashedFields {
    collect(told, |kind| hash_fields(interface, kind))
}

/// The same, where netlink is not asked.
pub(crate) fn by_ioctl(interface: &str) -> HashedFields {
    of(interface, None)
}

fn collect(told: Option<&BTreeMap<u16, u64>>, ask: impl Fn(u32) -> io::Result<u64>) -> HashedFields {
    let mut fields = HashedFields::default();
    for (transport, is_v6, attribute, flow) in KINDS {
        let hashed = match told {
            Some(told) => told.get(&attribute).map_or(Hashed::Unknown, |bits| meaning(*bits)),
            None => match ask(flow) {
                Ok(bits) => meaning(bits),
                // Drivers that have no choice tell nothing; the ports of TCP are what all of them begin with.
                Err(_) if transport == Transport::Tcp => Hashed::AddressesAndPorts,
                Err(_) => Hashed::Unknown,
            },
        };
        match is_v6 {
            true => fields.set::<V6>(transport, hashed),
            false => fields.set::<V4>(transport, hashed),
        }
    }
    fields
}

fn meaning(bits: u64) -> Hashed {
    const BOTH: u64 = ADDRESSES | PORTS;
    match bits {
        ADDRESSES => Hashed::Addresses,
        BOTH => Hashed::AddressesAndPorts,
        _ => Hashed::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_that_netlink_tells_are_read() {
        let told = BTreeMap::from([(4, 0xf0), (5, 0xf0), (6, 0x30), (7, 0xf0 | 1 << 2), (9, 0x30)]);
        let fields = collect(Some(&told), |_| panic!("nobody has to be asked"));
        assert_eq!(fields.of::<V4>(Transport::Tcp), Hashed::AddressesAndPorts);
        assert_eq!(fields.of::<V6>(Transport::Tcp), Hashed::AddressesAndPorts);
        assert_eq!(fields.of::<V4>(Transport::Udp), Hashed::Addresses);
        assert_eq!(fields.of::<V6>(Transport::Udp), Hashed::Unknown, "the VLAN is hashed too");
        assert_eq!(fields.of::<V4>(Transport::Sctp), Hashed::Unknown, "nothing was told");
        assert_eq!(fields.of::<V6>(Transport::Sctp), Hashed::Addresses);
    }

    #[test]
    fn older_kernels_are_asked_by_ioctl_and_silence_is_safe() {
        let fields = collect(None, |flow| match flow {
            0x01 | 0x02 => Ok(0x30),
            0x06 => Ok(0xf0),
            _ => Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP)),
        });
        assert_eq!(fields.of::<V4>(Transport::Tcp), Hashed::Addresses);
        assert_eq!(fields.of::<V6>(Transport::Tcp), Hashed::AddressesAndPorts, "assumed");
        assert_eq!(fields.of::<V4>(Transport::Udp), Hashed::Addresses);
        assert_eq!(fields.of::<V6>(Transport::Udp), Hashed::AddressesAndPorts);
        assert_eq!(fields.of::<V4>(Transport::Sctp), Hashed::Unknown);
    }
}
