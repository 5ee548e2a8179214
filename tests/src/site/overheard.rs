//! Which gateway speaks for an address, as the client's segment hears it.
//!
//! * In: every frame that reaches the client's interface, announcements included, which are broadcast.
//! * Out: [`Sighting`]s: when, of which address, from which MAC, and whether it was announced or answered from.
//! * RFC 826 for ARP, RFC 4861 §4.4 for neighbour advertisements.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use etherparse::{EtherType, NetSlice, SlicedPacket, TransportSlice};
use penstock::netns::Namespace;
use penstock_pktgen::PacketSocket;

/// The type of a neighbour advertisement.
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;

/// Somebody spoke for an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    /// When.
    pub at: Instant,
    /// For which address.
    pub address: IpAddr,
    /// Who, by the frame's source.
    pub mac: [u8; 6],
    /// By ARP or neighbour advertisement; otherwise in a packet from the address.
    pub is_announcement: bool,
}

/// Listens until it is dropped.
#[derive(Debug)]
pub struct Overheard {
    ends: Arc<AtomicBool>,
    sightings: Arc<Mutex<Vec<Sighting>>>,
    thread: Option<JoinHandle<()>>,
}

impl Overheard {
    /// Listens on `interface` of `namespace`.
    pub fn start(namespace: &Namespace, interface: &str) -> Result<Overheard> {
        let socket = namespace.enter(|| PacketSocket::open(interface))??;
        socket.set_patience(Duration::from_millis(50))?;
        let ends = Arc::new(AtomicBool::new(false));
        let sightings = Arc::new(Mutex::new(Vec::new()));
        let (told, heard) = (ends.clone(), sightings.clone());
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; 2048];
            while !told.load(Ordering::Acquire) {
                let Ok(frame) = socket.receive(&mut buffer) else { return };
                if let Some(sighting) = frame.and_then(read) {
                    heard.lock().unwrap_or_else(PoisonError::into_inner).push(sighting);
                }
            }
        });
        Ok(Overheard { ends, sightings, thread: Some(thread) })
    }

    /// All sightings of `address`, in order.
    pub fn of(&self, address: IpAddr) -> Vec<Sighting> {
        let sightings = self.sightings.lock().unwrap_or_else(PoisonError::into_inner);
        sightings.iter().filter(|sighting| sighting.address == address).copied().collect()
    }

    /// The first time that `mac` spoke for `address` after `since`; waits for it, at most `limit`.
    pub fn first(&self, address: IpAddr, mac: [u8; 6], since: Instant, limit: Duration) -> Result<Sighting> {
        let deadline = Instant::now() + limit;
        loop {
            let found = self.of(address).into_iter().find(|one| one.mac == mac && one.at >= since);
            if let Some(sighting) = found {
                return Ok(sighting);
            }
            if Instant::now() > deadline {
                let heard: Vec<_> = self.of(address).into_iter().rev().take(5).collect();
                return Err(anyhow::anyhow!("last heard of it: {heard:?}"))
                    .with_context(|| format!("{mac:02x?} has not spoken for {address} within {limit:?}"));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Overheard {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn read(frame: &[u8]) -> Option<Sighting> {
    let at = Instant::now();
    let mac: [u8; 6] = frame.get(6..12)?.try_into().ok()?;
    if EtherType(u16::from_be_bytes(frame.get(12..14)?.try_into().ok()?)) == EtherType::ARP {
        // The sender's protocol address: requests of others tell who they are, too.
        let sender: [u8; 4] = frame.get(28..32)?.try_into().ok()?;
        return Some(Sighting { at, address: Ipv4Addr::from(sender).into(), mac, is_announcement: true });
    }
    let packet = SlicedPacket::from_ethernet(frame).ok()?;
    let (address, is_announcement) = match (packet.net?, packet.transport) {
        (NetSlice::Ipv4(ip), _) => (IpAddr::from(ip.header().source_addr()), false),
        (NetSlice::Ipv6(_), Some(TransportSlice::Icmpv6(icmp)))
            if icmp.type_u8() == NEIGHBOUR_ADVERTISEMENT =>
        {
            let target: [u8; 16] = icmp.slice().get(8..24)?.try_into().ok()?;
            (IpAddr::from(Ipv6Addr::from(target)), true)
        }
        (NetSlice::Ipv6(ip), _) => (IpAddr::from(ip.header().source_addr()), false),
        _ => return None,
    };
    Some(Sighting { at, address, mac, is_announcement })
}
