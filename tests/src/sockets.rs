//! Connections whose own address and port are chosen.

use std::{
    io,
    net::{SocketAddr, TcpStream, UdpSocket},
    os::fd::AsRawFd,
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::{
        socket::{
            AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, setsockopt, socket,
            sockopt::{ReuseAddr, SendTimeout},
        },
        time::{TimeVal, TimeValLike},
    },
};

use crate::AN_ANSWER;

/// A TCP connection from `from` to `to`.
pub fn tcp_connect_from(from: SocketAddr, to: SocketAddr) -> io::Result<TcpStream> {
    let family = if to.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let socket = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&socket, ReuseAddr, &true)?;
    // Bounds connect(2) as well.
    setsockopt(&socket, SendTimeout, &TimeVal::seconds(AN_ANSWER.as_secs().cast_signed()))?;
    bind(socket.as_raw_fd(), &SockaddrStorage::from(from))?;
    // A process that was stopped meanwhile, be it with the whole machine, is told so and goes on connecting.
    loop {
        match connect(socket.as_raw_fd(), &SockaddrStorage::from(to)) {
            Ok(()) | Err(Errno::EISCONN) => break,
            Err(Errno::EINTR | Errno::EALREADY) => std::thread::sleep(Duration::from_millis(1)),
            Err(error) => return Err(error.into()),
        }
    }
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(AN_ANSWER))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A UDP socket on `from` that talks to `to` alone.
pub fn udp_connect_from(from: SocketAddr, to: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(from)?;
    socket.connect(to)?;
    socket.set_read_timeout(Some(AN_ANSWER))?;
    Ok(socket)
}

/// The next datagram. One that was stopped meanwhile, be it with the whole machine, waits again.
pub fn udp_receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match socket.recv(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
