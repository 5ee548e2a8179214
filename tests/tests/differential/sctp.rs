//! SCTP without the kernel's: one INIT and its answer, over raw sockets.
//!
//! Kernels without `CONFIG_IP_SCTP` have no SCTP sockets (EPROTONOSUPPORT), but their conntrack knows the protocol, so
//! gateways can be asked. The client's INIT has the verification tag 0, the answer is an INIT ACK whose state cookie
//! is the responder's text (RFC 9260 §3.3.2, §3.3.3, §6.8).

use std::{
    io::IoSliceMut,
    net::{IpAddr, SocketAddr},
    os::fd::{AsRawFd, OwnedFd},
};

use nix::{
    cmsg_space,
    errno::Errno,
    libc,
    sys::socket::{
        AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage,
        bind, connect, recvfrom, recvmsg, sendto, setsockopt, socket,
        sockopt::{Ipv4RecvErr, Ipv6RecvErr},
    },
};
use penstock_dataplane::wire::crc32c;

/// The client's tag, which an answer must bear.
const TAG: u32 = 0x7065_6e73;
const INIT: u8 = 1;
const INIT_ACK: u8 = 2;
const STATE_COOKIE: u16 = 7;
/// Common header, chunk header, and the fixed part of an INIT.
const FIXED: usize = 12 + 4 + 16;

/// A raw socket on an address.
pub struct Raw(pub OwnedFd);

impl Raw {
    pub fn open(own: IpAddr, peer: Option<IpAddr>) -> nix::Result<Raw> {
        let family = if own.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(family, SockType::Raw, flags, SockProtocol::Sctp)?;
        bind(socket.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(own, 0)))?;
        if let Some(peer) = peer {
            connect(socket.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(peer, 0)))?;
            match peer {
                IpAddr::V4(_) => setsockopt(&socket, Ipv4RecvErr, &true)?,
                IpAddr::V6(_) => setsockopt(&socket, Ipv6RecvErr, &true)?,
            }
        }
        Ok(Raw(socket))
    }

    fn send(&self, packet: &[u8], to: IpAddr) -> nix::Result<()> {
        let to = SockaddrStorage::from(SocketAddr::new(to, 0));
        sendto(self.0.as_raw_fd(), packet, &to, MsgFlags::empty()).map(drop)
    }

    /// The next SCTP packet, and whom it is from. IPv4's raw sockets give the IP header too.
    fn receive(&self) -> nix::Result<(Vec<u8>, Option<IpAddr>)> {
        let mut buffer = [0; 1500];
        let (length, from) = recvfrom::<SockaddrStorage>(self.0.as_raw_fd(), &mut buffer)?;
        let from = from.and_then(|from| {
            let v4 = from.as_sockaddr_in().map(|v4| IpAddr::from(v4.ip()));
            v4.or_else(|| from.as_sockaddr_in6().map(|v6| IpAddr::from(v6.ip())))
        });
        let bytes = &buffer[..length];
        let header = if from.is_some_and(|from| from.is_ipv4()) {
            4 * usize::from(bytes.first().copied().unwrap_or(0) & 15)
        } else {
            0
        };
        Ok((bytes.get(header..).unwrap_or_default().to_vec(), from))
    }

    /// What the network says of packets from `from` to `to`. Raw sockets know no ports: errors of other flows between the same
    /// addresses come here too, and are passed over.
    fn error(&self, from: SocketAddr, to: SocketAddr) -> Option<Errno> {
        loop {
            let mut about = [0; 64];
            let mut buffers = [IoSliceMut::new(&mut about)];
            let mut space = cmsg_space!(libc::sock_extended_err, libc::sockaddr_in6);
            let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
            let socket = self.0.as_raw_fd();
            let message = recvmsg::<SockaddrStorage>(socket, &mut buffers, Some(&mut space), flags).ok()?;
            let said = message.cmsgs().ok()?.find_map(|said| match said {
                ControlMessageOwned::Ipv4RecvErr(error, _) | ControlMessageOwned::Ipv6RecvErr(error, _) => {
                    Some(Errno::from_raw(error.ee_errno as i32))
                }
                _ => None,
            });
            if ports(&about) == Some((from.port(), to.port())) {
                return said;
            }
        }
    }

    /// Starts an association.
    pub fn start(&self, from: SocketAddr, to: SocketAddr) -> nix::Result<()> {
        let init = packet(from.port(), to.port(), 0, INIT, &[]);
        // The first time it may be told of another flow's error.
        self.send(&init, to.ip()).or_else(|_| self.send(&init, to.ip()))
    }

    /// The text of the answer to `start`, if it is here.
    pub fn answer(&self, from: SocketAddr, to: SocketAddr) -> nix::Result<String> {
        loop {
            let received = self.receive();
            if let Some(error) = self.error(from, to) {
                return Err(error);
            }
            let bytes = match received {
                Ok((bytes, _)) => bytes,
                Err(Errno::EAGAIN) => return Err(Errno::EAGAIN),
                Err(_of_another) => continue,
            };
            let is_mine = ports(&bytes) == Some((to.port(), from.port()));
            if is_mine && bytes.get(4..8) == Some(&TAG.to_be_bytes()) && bytes.get(12) == Some(&INIT_ACK) {
                let cookie = bytes.get(FIXED + 4..).unwrap_or_default();
                return Ok(String::from_utf8_lossy(cookie).trim_matches('\0').to_owned());
            }
            if is_mine {
                return Ok(format!("SCTP {bytes:02x?}"));
            }
        }
    }

    /// Answers everything that came for one of `served`, with what `text` makes of the two ends.
    pub fn respond(&self, own: IpAddr, served: &[u16], text: impl Fn(SocketAddr, SocketAddr) -> String) {
        loop {
            let (bytes, from) = match self.receive() {
                Ok((bytes, Some(from))) => (bytes, from),
                Ok(_) => continue,
                Err(Errno::EAGAIN) => return,
                Err(_) => return,
            };
            let Some((peer_port, own_port)) = ports(&bytes) else { continue };
            let tag = bytes.get(16..20).and_then(|tag| <[u8; 4]>::try_from(tag).ok());
            let (Some(tag), Some(&INIT), true) = (tag, bytes.get(12), served.contains(&own_port)) else {
                continue;
            };
            let mut cookie =
                text(SocketAddr::new(own, own_port), SocketAddr::new(from, peer_port)).into_bytes();
            let length = (4 + cookie.len()) as u16;
            cookie.resize(cookie.len().next_multiple_of(4), 0);
            let parameter = [&STATE_COOKIE.to_be_bytes()[..], &length.to_be_bytes(), &cookie].concat();
            let tag = u32::from_be_bytes(tag);
            let _ = self.send(&packet(own_port, peer_port, tag, INIT_ACK, &parameter), from);
        }
    }
}

fn ports(bytes: &[u8]) -> Option<(u16, u16)> {
    let number = |at| Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
    Some((number(0)?, number(2)?))
}

fn packet(from: u16, to: u16, tag: u32, chunk: u8, parameters: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend([from.to_be_bytes(), to.to_be_bytes()].concat());
    bytes.extend(tag.to_be_bytes());
    bytes.extend([0; 4]);
    bytes.extend([chunk, 0]);
    bytes.extend(((FIXED - 12 + parameters.len()) as u16).to_be_bytes());
    // Tag, receiver window, streams out and in, first TSN.
    bytes.extend(TAG.to_be_bytes());
    bytes.extend(65_536u32.to_be_bytes());
    bytes.extend([0, 1, 0, 1]);
    bytes.extend(1u32.to_be_bytes());
    bytes.extend(parameters);
    let sum = crc32c(&bytes);
    bytes[8..12].copy_from_slice(&sum.to_le_bytes());
    bytes
}
