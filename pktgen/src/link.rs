//! Facts about an interface of this thread's namespace, and entering another namespace.

use std::{fs, fs::File, os::fd::AsRawFd, path::Path};

use anyhow::{Context, Result};
use nix::sched::{CloneFlags, setns};
use penstock_dataplane::wire::EtherAddr;

/// Asked of the kernel, not of /sys, which shows the namespace it was mounted in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Link {
    /// Its number.
    pub(crate) index: u32,
    /// Its address.
    pub(crate) mac: EtherAddr,
}

impl Link {
    /// Looks `interface` up.
    pub(crate) fn find(interface: &str) -> Result<Link> {
        let index = nix::net::if_::if_nametoindex(interface)
            .with_context(|| format!("there is no interface {interface}: `ip link` lists those there are"))?;
        let mac = nix::ifaddrs::getifaddrs()
            .context("cannot list the interfaces")?
            .filter(|entry| entry.interface_name == interface)
            .find_map(|entry| entry.address?.as_link_addr()?.addr())
            .map(EtherAddr)
            .with_context(|| format!("{interface} has no link-layer address: only Ethernet is sent"))?;
        Ok(Link { index, mac })
    }
}

/// What the kernel counted on an interface of this thread's namespace (/proc/net/dev).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LinkCounters {
    pub(crate) tx_dropped: u64,
}

impl LinkCounters {
    pub(crate) fn of(interface: &str) -> LinkCounters {
        let text = fs::read_to_string("/proc/thread-self/net/dev").unwrap_or_default();
        text.lines().find_map(|line| parse(line, interface)).unwrap_or_default()
    }
}

/// `name: 8 fields of receiving, bytes packets errs drop fifo … and as many of sending`.
fn parse(line: &str, interface: &str) -> Option<LinkCounters> {
    let (name, fields) = line.split_once(':')?;
    let fields: Vec<u64> = fields.split_whitespace().filter_map(|field| field.parse().ok()).collect();
    (name.trim() == interface).then(|| LinkCounters { tx_dropped: fields.get(11).copied().unwrap_or(0) })
}

/// Moves this thread into a namespace of `ip netns`.
pub(crate) fn enter(namespace: &str) -> Result<()> {
    let path = Path::new("/run/netns").join(namespace);
    let file = File::open(&path)
        .with_context(|| format!("there is no namespace {namespace}: `ip netns` lists those there are"))?;
    setns(&file, CloneFlags::CLONE_NEWNET)
        .with_context(|| format!("cannot enter namespace {namespace} (it needs root)"))
}

/// Receive queues of an interface of this thread's namespace: one where the driver does not tell (ethtool -l).
#[expect(unsafe_code, reason = "SIOCETHTOOL has no safe interface")]
pub(crate) fn receive_queues(interface: &str) -> u32 {
    // struct ethtool_channels of linux/ethtool.h: the command, four limits, and what there is now.
    const ETHTOOL_GCHANNELS: u32 = 0x3c;
    const RX_COUNT: usize = 5;
    const COMBINED_COUNT: usize = 8;
    let mut channels = [0_u32; 9];
    channels[0] = ETHTOOL_GCHANNELS;
    let Ok(socket) = std::net::UdpSocket::bind(("0.0.0.0", 0)) else { return 1 };
    // SAFETY: all zeroes is a valid `ifreq`.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes().take(libc::IFNAMSIZ - 1)) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_data = channels.as_mut_ptr().cast();
    // SAFETY: the request and the array it points to, which is as long as the command wants, outlive the call.
    if unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL, &mut request) } < 0 {
        return 1;
    }
    (channels[RX_COUNT] + channels[COMBINED_COUNT]).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found_by_name() {
        let line = "  eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16";
        assert_eq!(parse(line, "eth0"), Some(LinkCounters { tx_dropped: 12 }));
        assert_eq!(parse(line, "eth"), None);
    }
}
