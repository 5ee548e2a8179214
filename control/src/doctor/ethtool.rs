//! What only ethtool's ioctl tells: the driver, offloads, and how received packets are spread over queues.
//!
//! A socket of the interface's network namespace asks (`SIOCETHTOOL` of linux/ethtool.h). A driver that lacks an operation
//! refuses, which is no error: the fact is unknown then.
#![expect(unsafe_code, reason = "an ioctl over structures that carry a pointer")]

use super::link::Offloads;
use std::{io, net::UdpSocket, os::fd::AsRawFd};

const SIOCETHTOOL: libc::c_ulong = 0x8946;
const ETHTOOL_GDRVINFO: u32 = 0x03;
const ETHTOOL_GTXCSUM: u32 = 0x16;
const ETHTOOL_GFLAGS: u32 = 0x25;
const ETHTOOL_GRXFH: u32 = 0x29;
const ETHTOOL_GGRO: u32 = 0x2b;
const ETHTOOL_GRXFHINDIR: u32 = 0x38;

/// `ETH_FLAG_LRO` and `ETH_FLAG_RXVLAN`.
const FLAG_LRO: u32 = 1 << 15;
const FLAG_RXVLAN: u32 = 1 << 8;

/// `struct ethtool_drvinfo` is so long, and its second field is the driver's name.
const DRVINFO_WORDS: usize = 49;
const DRIVER_BYTES: std::ops::Range<usize> = 4..36;
/// More entries than any indirection table has.
const MOST_ENTRIES: usize = 4096;

/// What was told of one interface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ethtool {
    pub(super) driver: Option<String>,
    pub(super) offloads: Option<Offloads>,
    /// The receive queue of each entry of the indirection table.
    pub(super) indirection: Option<Vec<u32>>,
}

/// Asks about an interface of this thread's network namespace.
pub(super) fn ask(interface: &str) -> Ethtool {
    let Ok(socket) = UdpSocket::bind(("0.0.0.0", 0)) else { return Ethtool::default() };
    let value = |command: u32| {
        let mut words = [command, 0];
        exchange(&socket, interface, &mut words).ok().map(|()| words[1])
    };
    let offloads = value(ETHTOOL_GFLAGS).map(|flags| Offloads {
        lro: flags & FLAG_LRO != 0,
        rx_vlan: flags & FLAG_RXVLAN != 0,
        gro: value(ETHTOOL_GGRO) == Some(1),
        tx_checksum: value(ETHTOOL_GTXCSUM) == Some(1),
    });
    Ethtool { driver: driver(&socket, interface), offloads, indirection: indirection(&socket, interface) }
}

/// The fields that are hashed for packets of this kind (`TCP_V4_FLOW` and others), as bits of `RXH_`.
pub(crate) fn hash_fields(interface: &str, kind: u32) -> io::Result<u64> {
    let socket = UdpSocket::bind(("0.0.0.0", 0))?;
    // `struct ethtool_rxnfc` as it is for this command: command, kind, and the bits as a `u64`.
    let mut words = [ETHTOOL_GRXFH, kind, 0, 0];
    exchange(&socket, interface, &mut words)?;
    let [_, _, one, two] = words.map(u32::to_ne_bytes);
    let mut bits = [0; 8];
    bits[..4].copy_from_slice(&one);
    bits[4..].copy_from_slice(&two);
    Ok(u64::from_ne_bytes(bits))
}

fn driver(socket: &UdpSocket, interface: &str) -> Option<String> {
    let mut words = [0_u32; DRVINFO_WORDS];
    words[0] = ETHTOOL_GDRVINFO;
    exchange(socket, interface, &mut words).ok()?;
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let name: Vec<u8> = bytes[DRIVER_BYTES].iter().copied().take_while(|byte| *byte != 0).collect();
    String::from_utf8(name).ok().filter(|name| !name.is_empty())
}

/// `struct ethtool_rxfh_indir`: command, size, entries. Size 0 asks for the size alone.
fn indirection(socket: &UdpSocket, interface: &str) -> Option<Vec<u32>> {
    let mut sized = [ETHTOOL_GRXFHINDIR, 0];
    exchange(socket, interface, &mut sized).ok()?;
    let entries = sized[1] as usize;
    if entries == 0 || entries > MOST_ENTRIES {
        return None;
    }
    let mut words = vec![0; 2 + entries];
    words[0] = ETHTOOL_GRXFHINDIR;
    words[1] = sized[1];
    exchange(socket, interface, &mut words).ok()?;
    Some(words.split_off(2))
}

/// The request's words go in, and what the driver says comes out in their place. They are as many as the command of the
/// first word wants.
fn exchange(socket: &UdpSocket, interface: &str, words: &mut [u32]) -> io::Result<()> {
    if interface.is_empty() || interface.len() >= libc::IFNAMSIZ || interface.contains('\0') {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    // SAFETY: all zeroes is a valid `ifreq`.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_data = words.as_mut_ptr().cast();
    // SAFETY: SIOCETHTOOL reads and writes the `ifreq` and, at its pointer, a structure no longer than `words`: every
    // caller above passes as many words as its command's structure has. Both live through the call.
    match unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL as _, &raw mut request) } {
        0.. => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_has_facts_and_nonsense_has_none() {
        let told = ask("lo");
        assert!(told.offloads.is_some_and(|offloads| offloads.tx_checksum), "{told:?}");
        assert_eq!(ask("no-such-interface-has-this-name"), Ethtool::default());
        assert_eq!(ask(""), Ethtool::default());
        assert_eq!(hash_fields("lo", 1).unwrap_err().raw_os_error(), Some(libc::EOPNOTSUPP));
    }
}
