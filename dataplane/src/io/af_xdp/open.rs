//! Opening the sockets of a worker: checks, then zero-copy, then copying.

use std::num::NonZeroU32;
use std::time::Duration;
use std::{io, thread};

use xsk_rs::config::{FrameSize, QueueSize, UmemConfig};

use super::super::{BATCH, PortCounters, PortId};
use super::link::{self, PollSet};
use super::memory::{self, Memory};
use super::socket::{Socket, SocketName};
use super::{AfXdp, AfXdpConfig, BindMode, BindPreference, OpenError};

/// Ethernet and two VLAN tags.
const LINK_HEADERS: u32 = 14 + 2 * 4;
/// A closed socket lets go of its queue a moment later: a busy one is tried this often, this long apart.
const BUSY_TRIES: u32 = 20;
const BUSY_PAUSE: Duration = Duration::from_millis(10);

impl AfXdp {
    /// Opens a socket for each (port, interface, queue), in the network namespace of this thread.
    ///
    /// Attach the classifier first: some drivers only give zero-copy to interfaces with an XDP program. Without any port
    /// the value is whole too: it receives nothing, and drops what it is to send.
    pub fn open(config: &AfXdpConfig, ports: &[(PortId, &str, u32)]) -> Result<AfXdp, OpenError> {
        let umem = umem_config(config, ports.len())?;
        check_distinct(ports)?;
        for (_, interface, _) in ports {
            check_link(interface, &umem)?;
        }
        link::raise_memlock();
        match config.bind {
            BindPreference::ZeroCopy => open_as(BindMode::ZeroCopy, config, umem, ports),
            BindPreference::Copy => open_as(BindMode::Copy, config, umem, ports),
            BindPreference::Auto => open_as(BindMode::ZeroCopy, config, umem, ports).or_else(|refused| {
                if let OpenError::Umem { .. } = refused {
                    return Err(refused);
                }
                tracing::info!(reason = %refused, "zero-copy is not to be had, the kernel will copy");
                open_as(BindMode::Copy, config, umem, ports)
            }),
        }
    }
}

fn open_as(
    mode: BindMode,
    config: &AfXdpConfig,
    umem_config: UmemConfig,
    ports: &[(PortId, &str, u32)],
) -> Result<AfXdp, OpenError> {
    let frames = frames(config, ports.len());
    let Memory { umem, mut pool, descriptors } = memory::make(umem_config, frames, config.huge_pages)
        .map_err(|source| OpenError::Umem { frames: frames.get(), frame_size: config.frame_size, source })?;
    // Half of all frames wait for packets, as far as the fill rings go: the rest is for sending.
    let share = (pool.total() / 2 / ports.len().max(1)).clamp(1, config.ring_size as usize);

    let mut sockets = Vec::with_capacity(ports.len());
    let mut senders = Box::new([None; 256]);
    for (index, &(port, interface, queue)) in ports.iter().enumerate() {
        let name = SocketName { port, interface: interface.into(), queue };
        let ring = umem_config.fill_queue_size();
        let mut socket = open_patiently(&name, || Socket::open(&umem, name.clone(), ring, mode, share))
            .map_err(|source| OpenError::Socket { interface: interface.into(), queue, mode, source })?;
        socket.refill(&mut pool, &descriptors);
        senders[usize::from(port.0)].get_or_insert(index as u8);
        sockets.push(socket);
        tracing::info!(interface, queue, port = port.0, %mode, "AF_XDP socket open");
    }
    let busy_polls = config.busy_poll && sockets.iter_mut().all(Socket::busy_poll);
    let poll = PollSet::new(sockets.iter().map(Socket::fd));
    Ok(AfXdp {
        sockets,
        senders,
        pool,
        descriptors,
        poll,
        mode,
        busy_polls,
        turn: 0,
        nowhere: PortCounters::default(),
    })
}

fn open_patiently(name: &SocketName, open: impl Fn() -> io::Result<Socket>) -> io::Result<Socket> {
    for _ in 1..BUSY_TRIES {
        match open() {
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                tracing::debug!(
                    interface = name.interface,
                    queue = name.queue,
                    "queue is busy, trying again"
                );
                thread::sleep(BUSY_PAUSE);
            }
            result => return result,
        }
    }
    open()
}

fn frames(config: &AfXdpConfig, sockets: usize) -> NonZeroU32 {
    let usual = 2 * sockets as u32 * config.ring_size + BATCH as u32;
    NonZeroU32::new(config.frames.unwrap_or(usual)).unwrap_or(NonZeroU32::MIN)
}

fn umem_config(config: &AfXdpConfig, sockets: usize) -> Result<UmemConfig, OpenError> {
    let wrong = |field, value: u32, remedy| OpenError::Config { field, value: value.into(), remedy };
    if sockets > 255 {
        return Err(wrong("the number of sockets", sockets as u32, "a worker has at most 255"));
    }
    if !config.ring_size.is_power_of_two() || !(64..=65536).contains(&config.ring_size) {
        return Err(wrong("ring_size", config.ring_size, "it must be a power of two, 64 to 65536"));
    }
    if ![2048, 4096].contains(&config.frame_size) {
        return Err(wrong("frame_size", config.frame_size, "it must be 2048 or 4096"));
    }
    let least = (2 * BATCH * sockets) as u32;
    let frames = config.frames.unwrap_or(least);
    if frames < least {
        return Err(wrong("frames", frames, "there must be at least 128 for each socket"));
    }
    let sizes = (|| {
        let ring = QueueSize::new(config.ring_size).ok()?;
        let frame = FrameSize::new(config.frame_size).ok()?;
        UmemConfig::builder().frame_size(frame).fill_queue_size(ring).comp_queue_size(ring).build().ok()
    })();
    sizes.ok_or_else(|| wrong("frame_size", config.frame_size, "the kernel can't have such frames"))
}

fn check_link(interface: &str, umem: &UmemConfig) -> Result<(), OpenError> {
    let mtu = link::mtu(interface).map_err(|_| OpenError::NoSuchInterface { interface: interface.into() })?;
    if mtu.saturating_add(LINK_HEADERS) > umem.mtu() {
        return Err(OpenError::MtuTooLarge {
            interface: interface.into(),
            mtu,
            headers: LINK_HEADERS,
            frame_size: umem.frame_size().get(),
            room: umem.mtu(),
        });
    }
    Ok(())
}

fn check_distinct(ports: &[(PortId, &str, u32)]) -> Result<(), OpenError> {
    for (index, (_, interface, queue)) in ports.iter().enumerate() {
        if ports[..index].iter().any(|(_, other, taken)| other == interface && taken == queue) {
            return Err(OpenError::SameQueueTwice { interface: (*interface).into(), queue: *queue });
        }
    }
    Ok(())
}
