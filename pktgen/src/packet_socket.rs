//! A raw socket on one interface: whole frames in and out (packet(7)).

use std::{
    io,
    mem::size_of,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    time::Duration,
};

use anyhow::{Context, Result};
use nix::{
    net::if_::if_nametoindex,
    sys::socket::{MsgFlags, send, setsockopt, sockopt},
};

/// Bytes that the kernel may keep for us before it drops.
const BUFFER_BYTES: usize = 64 << 20;

/// An AF_PACKET socket bound to an interface of the namespace it was opened in.
#[derive(Debug)]
pub struct PacketSocket {
    socket: OwnedFd,
    interface: String,
}

impl PacketSocket {
    /// Opens a socket on `interface`.
    pub fn open(interface: &str) -> Result<PacketSocket> {
        let index =
            if_nametoindex(interface).with_context(|| format!("there is no interface {interface}"))?;
        let socket = open_and_bind(index.cast_signed()).with_context(|| {
            format!("cannot open a raw socket on {interface} (it needs root, or CAP_NET_RAW)")
        })?;
        // The forced size needs CAP_NET_ADMIN; without it the usual limit must do.
        if setsockopt(&socket, sockopt::RcvBufForce, &BUFFER_BYTES).is_err() {
            let _ = setsockopt(&socket, sockopt::RcvBuf, &BUFFER_BYTES);
        }
        Ok(PacketSocket { socket, interface: interface.to_owned() })
    }

    /// The interface's name.
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// How long [`receive`](Self::receive) waits.
    pub fn set_patience(&self, patience: Duration) -> Result<()> {
        let value = nix::sys::time::TimeVal::new(
            i64::try_from(patience.as_secs())?,
            i64::from(patience.subsec_micros()),
        );
        setsockopt(&self.socket, sockopt::ReceiveTimeout, &value).context("cannot set the time to wait")
    }

    /// Sends a frame. False if the interface's queue is full at the moment.
    pub fn send(&self, frame: &[u8]) -> Result<bool> {
        match send(self.socket.as_raw_fd(), frame, MsgFlags::empty()) {
            Ok(_) => Ok(true),
            Err(nix::errno::Errno::ENOBUFS | nix::errno::Errno::EAGAIN) => Ok(false),
            Err(error) => Err(error).with_context(|| format!("cannot send on {}", self.interface)),
        }
    }

    /// Receives a frame that came in; `None` if there was none in time. What this host sent is left out.
    pub fn receive<'a>(&self, buffer: &'a mut [u8]) -> Result<Option<&'a [u8]>> {
        match receive_incoming(&self.socket, buffer) {
            Ok(length) => Ok(length.map(|length| &buffer[..length])),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(None),
                _ => Err(error).with_context(|| format!("cannot receive on {}", self.interface)),
            },
        }
    }

    /// Frames that the kernel dropped because we were slow, since the last call.
    pub fn missed(&self) -> Result<u64> {
        statistics(&self.socket).map(|drops| drops.into()).context("cannot read the socket's statistics")
    }
}

#[expect(unsafe_code, reason = "packet sockets have no safe interface")]
fn open_and_bind(index: i32) -> io::Result<OwnedFd> {
    let protocol = (libc::ETH_P_ALL as u16).to_be();
    // Protocol 0: nothing is received before the socket is bound to its interface.
    // SAFETY: no pointers are given; the result is checked before it is owned.
    let socket = unsafe {
        let number = libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0);
        if number < 0 {
            return Err(io::Error::last_os_error());
        }
        OwnedFd::from_raw_fd(number)
    };
    // SAFETY: sockaddr_ll is plain data, for which zeros are valid.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = protocol;
    address.sll_ifindex = index;
    let length = size_of::<libc::sockaddr_ll>() as u32;
    // SAFETY: the pointer and the length describe `address`, which outlives the call.
    if unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(socket)
}

/// The length of the next frame; `None` if it is one that this host sent.
#[expect(unsafe_code, reason = "the packet's direction comes in a sockaddr_ll")]
fn receive_incoming(socket: &OwnedFd, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    // SAFETY: sockaddr_ll is plain data, for which zeros are valid.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    let mut address_length = size_of::<libc::sockaddr_ll>() as u32;
    // SAFETY: pointers and lengths describe `buffer` and `address`, which outlive the call.
    let length = unsafe {
        libc::recvfrom(
            socket.as_raw_fd(),
            buffer.as_mut_ptr().cast(),
            buffer.len(),
            0,
            (&raw mut address).cast(),
            &raw mut address_length,
        )
    };
    let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
    Ok((address.sll_pkttype != libc::PACKET_OUTGOING).then_some(length))
}

#[expect(unsafe_code, reason = "PACKET_STATISTICS has no safe interface")]
fn statistics(socket: &OwnedFd) -> io::Result<u32> {
    let mut statistics = libc::tpacket_stats { tp_packets: 0, tp_drops: 0 };
    let mut length = size_of::<libc::tpacket_stats>() as u32;
    // SAFETY: pointer and length describe `statistics`, which outlives the call.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            (&raw mut statistics).cast(),
            &raw mut length,
        )
    };
    if result == 0 { Ok(statistics.tp_drops) } else { Err(io::Error::last_os_error()) }
}
