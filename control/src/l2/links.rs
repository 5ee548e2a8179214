//! The interfaces that clients are behind, as they come and go, with their sockets.
//!
//! An interface can announce while it exists, is up, has a carrier and a MAC, and does ARP. Every interface here is
//! named in the configuration, so none is left out for its name or its master, as MetalLB has to, which takes them all.

use super::{
    claims::Port,
    frame::{Heard, MAX_LEN},
    socket::{self, Groups, Protocol},
};
use nix::{ifaddrs::getifaddrs, net::if_::InterfaceFlags};
use penstock_dataplane::wire::EtherAddr;
use socket2::Socket;
use std::{
    collections::{BTreeMap, BTreeSet},
    future::poll_fn,
    io,
    net::Ipv6Addr,
    task::{Context, Poll, ready},
};
use tokio::io::unix::AsyncFd;
use tracing::{debug, info, warn};

/// See the module.
#[derive(Debug)]
pub(super) struct Links {
    names: Vec<String>,
    links: Vec<Option<Link>>,
    /// Where listening begins, so that a loud interface does not drown the others.
    turn: usize,
    /// Interfaces that could not be opened, which is told once.
    refused: BTreeSet<Port>,
}

#[derive(Debug)]
struct Link {
    found: Found,
    arp: AsyncFd<Socket>,
    nd: AsyncFd<Socket>,
    groups: Groups,
}

/// An interface that can announce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Found {
    index: u32,
    mac: EtherAddr,
}

/// What became of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LinkChange {
    /// It can announce, with this MAC; also if it has another one now.
    Up(Port, EtherAddr),
    /// It cannot.
    Down(Port),
}

impl Links {
    pub(super) fn new(names: Vec<String>) -> Self {
        Self { links: names.iter().map(|_| None).collect(), names, turn: 0, refused: BTreeSet::new() }
    }

    /// Looks at the interfaces, and opens and closes sockets accordingly.
    pub(super) fn rescan(&mut self) -> Vec<LinkChange> {
        let found = match scan(&self.names) {
            Ok(found) => found,
            Err(error) => {
                warn!(%error, "interfaces cannot be listed; they are taken to be as before");
                return Vec::new();
            }
        };
        let mut changes = Vec::new();
        for (port, name) in self.names.iter().enumerate() {
            let now = found.get(&port).copied();
            let slot = &mut self.links[port];
            let before = slot.as_ref().map(|link| link.found);
            if now == before {
                continue;
            }
            match (slot.as_mut(), now) {
                (Some(link), Some(now)) if link.found.index == now.index => {
                    info!(interface = %name, mac = %now.mac, "announcing interface has another MAC");
                    link.found = now;
                    changes.push(LinkChange::Up(port, now.mac));
                    continue;
                }
                (Some(_), _) => {
                    info!(interface = %name, "announcing interface is down or gone");
                    *slot = None;
                    changes.push(LinkChange::Down(port));
                }
                (None, _) => {}
            }
            let Some(now) = now else { continue };
            match Link::open(now) {
                Ok(link) => {
                    info!(interface = %name, mac = %now.mac, "announcing interface is up");
                    *slot = Some(link);
                    self.refused.remove(&port);
                    changes.push(LinkChange::Up(port, now.mac));
                }
                // It is tried again at every look.
                Err(error) if self.refused.insert(port) => {
                    warn!(interface = %name, %error, "nothing can be announced on an interface; trying again");
                }
                Err(error) => debug!(interface = %name, %error, "an interface still cannot be opened"),
            }
        }
        changes
    }

    /// Waits for a frame of interest.
    pub(super) async fn heard(&mut self) -> (Port, Heard) {
        poll_fn(|context| self.poll_heard(context)).await
    }

    fn poll_heard(&mut self, context: &mut Context<'_>) -> Poll<(Port, Heard)> {
        let ports = self.links.len();
        for port in (0..ports).map(|port| (self.turn + port) % ports) {
            let Some(link) = &self.links[port] else { continue };
            for socket in [&link.arp, &link.nd] {
                if let Poll::Ready(heard) = poll_socket(socket, link.found.mac, context) {
                    self.turn = port + 1;
                    return Poll::Ready((port, heard));
                }
            }
        }
        Poll::Pending
    }

    /// Sends frames about an address on an interface. What a full queue refuses is lost: it is said again.
    pub(super) fn send(&self, port: Port, is_arp: bool, frames: impl FnOnce(EtherAddr) -> Vec<Vec<u8>>) {
        let Some(link) = &self.links[port] else { return };
        let socket = if is_arp { &link.arp } else { &link.nd };
        for frame in frames(link.found.mac) {
            if let Err(error) = socket.get_ref().send(&frame) {
                debug!(interface = %self.names[port], %error, "an announcement was not sent");
            }
        }
    }

    /// Sets the multicast groups that an interface listens to.
    pub(super) fn set_groups(&mut self, port: Port, groups: &BTreeSet<Ipv6Addr>) {
        let Some(link) = &mut self.links[port] else { return };
        let errors = link.groups.set(link.nd.get_ref(), link.found.index, groups);
        if let Some(error) = errors.first() {
            let (interface, failed) = (&self.names[port], errors.len());
            warn!(%interface, failed, %error, "multicast groups of IPv6 addresses could not be joined or left");
        }
    }
}

impl Link {
    fn open(found: Found) -> io::Result<Self> {
        let (arp, nd) = (socket::open(Protocol::Arp, found.index)?, socket::open(Protocol::Nd, found.index)?);
        socket::hear_all_nodes(nd.get_ref(), found.index)?;
        Ok(Self { found, arp, nd, groups: Groups::default() })
    }
}

/// The next frame that says something.
fn poll_socket(socket: &AsyncFd<Socket>, own: EtherAddr, context: &mut Context<'_>) -> Poll<Heard> {
    let mut buffer = [0; MAX_LEN];
    loop {
        let Ok(mut guard) = ready!(socket.poll_read_ready(context)) else { return Poll::Pending };
        match guard.try_io(|socket| socket::receive(socket.get_ref(), &mut buffer)) {
            Ok(Ok(Some(length))) => {
                let heard = Heard::read(&buffer[..length], own);
                if heard != Heard::default() {
                    return Poll::Ready(heard);
                }
            }
            Ok(Ok(None)) => {}
            // The interface went down. The next look at the interfaces, a second from now at the latest, wakes this again.
            Ok(Err(error)) => {
                debug!(%error, "a packet socket has an error");
                return Poll::Pending;
            }
            Err(_would_block) => {}
        }
    }
}

/// Which of these interfaces can announce.
fn scan(names: &[String]) -> io::Result<BTreeMap<Port, Found>> {
    let needed = InterfaceFlags::IFF_UP | InterfaceFlags::IFF_RUNNING | InterfaceFlags::IFF_BROADCAST;
    let mut found = BTreeMap::new();
    for interface in getifaddrs()? {
        let Some(port) = names.iter().position(|name| *name == interface.interface_name) else { continue };
        let address = interface.address.as_ref();
        let Some(link) = address.and_then(|address| address.as_link_addr()) else { continue };
        let mac = EtherAddr(link.addr().unwrap_or_default());
        let does_arp =
            interface.flags.contains(needed) && !interface.flags.contains(InterfaceFlags::IFF_NOARP);
        if does_arp && mac.is_unicast() && link.halen() == mac.0.len() {
            found.insert(port, Found { index: u32::try_from(link.ifindex()).unwrap_or_default(), mac });
        }
    }
    Ok(found)
}
