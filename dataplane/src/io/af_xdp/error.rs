//! What can go wrong with AF_XDP sockets, and what to do about it.

use std::io;

use super::super::PortId;

/// Why the sockets could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The configuration can't be.
    #[error("{field} is {value}: {remedy}")]
    Config {
        /// Which field.
        field: &'static str,
        /// Its value.
        value: u64,
        /// What it should be.
        remedy: &'static str,
    },
    /// One queue was asked for more than once.
    #[error("queue {queue} of {interface} is listed twice: a queue has one socket")]
    SameQueueTwice {
        /// The interface.
        interface: String,
        /// The queue.
        queue: u32,
    },
    /// There is no such interface.
    #[error("there is no network interface {interface}: `ip link` lists those there are")]
    NoSuchInterface {
        /// The interface.
        interface: String,
    },
    /// Packets of the interface don't fit in a frame.
    #[error(
        "interface {interface} has MTU {mtu}, which with {headers} bytes of link headers needs {}: frames of \
         {frame_size} bytes hold {room}; lower the MTU{}",
        mtu + headers, if *.frame_size < 4096 { " or set the frame size to 4096" } else { "" }
    )]
    MtuTooLarge {
        /// The interface.
        interface: String,
        /// Its MTU.
        mtu: u32,
        /// Ethernet header and two VLAN tags.
        headers: u32,
        /// Configured frame size.
        frame_size: u32,
        /// What of it is for a packet.
        room: u32,
    },
    /// The packet memory could not be made.
    #[error("packet memory (UMEM) of {frames} frames of {frame_size} bytes could not be made: {source}{}", umem_remedy(.source))]
    Umem {
        /// Frames.
        frames: u32,
        /// Bytes of each.
        frame_size: u32,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// A socket could not be made or bound.
    #[error("AF_XDP socket for queue {queue} of {interface} ({mode}): {source}{}", socket_remedy(.source))]
    Socket {
        /// The interface.
        interface: String,
        /// The queue.
        queue: u32,
        /// The mode that was tried last.
        mode: super::BindMode,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

fn umem_remedy(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => " (needs CAP_NET_RAW, or root)",
        Some(libc::ENOBUFS) => " (needs a higher RLIMIT_MEMLOCK, or CAP_IPC_LOCK)",
        Some(libc::ENOMEM) => " (not enough memory: lower the number of frames)",
        Some(libc::EAFNOSUPPORT) => " (the kernel was built without CONFIG_XDP_SOCKETS)",
        _ => "",
    }
}

fn socket_remedy(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => " (needs CAP_NET_RAW, or root)",
        Some(libc::EBUSY) => " (the queue already has a socket: stop the process that holds it)",
        Some(libc::EINVAL) => " (is there such a queue? `ethtool -l` or /sys/class/net/IF/queues tells)",
        Some(libc::EOPNOTSUPP) => " (the driver can't: allow copying)",
        Some(libc::ENETDOWN) => " (the interface is down: `ip link set dev IF up`)",
        Some(libc::ENODEV | libc::ENXIO) => " (the interface is gone)",
        Some(libc::ENOBUFS) => " (needs a higher RLIMIT_MEMLOCK, or CAP_IPC_LOCK)",
        _ => "",
    }
}

/// Something a socket met while working. The worker goes on; the port's packets are dropped while it lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketEvent {
    /// The port.
    pub port: PortId,
    /// Its interface.
    pub interface: String,
    /// The queue.
    pub queue: u32,
    /// The error number the kernel gave.
    pub errno: i32,
    /// How often since the last time this was reported.
    pub times: u64,
}

impl SocketEvent {
    /// Whether the interface is gone or down for good: the sockets have to be opened anew.
    pub fn is_gone(&self) -> bool {
        matches!(self.errno, libc::ENXIO | libc::ENODEV | libc::ENETDOWN)
    }
}
