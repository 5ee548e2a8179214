//! Connections and datagrams, many at a time, and what becomes of each.

use std::{
    io::{ErrorKind, Read},
    net::{SocketAddr, TcpStream, UdpSocket},
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use nix::{
    errno::Errno,
    libc,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{
        AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, setsockopt, socket,
        sockopt::{Linger, ReuseAddr},
    },
};
use penstock::netns::Namespace;

/// How many are under way at once: fewer than the refusals that either gateway gives in a burst.
const AT_ONCE: usize = 40;

/// The transports that are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    Tcp,
    Udp,
}

/// One new flow.
#[derive(Debug, Clone, Copy)]
pub struct Try {
    pub protocol: Protocol,
    pub from: SocketAddr,
    pub to: SocketAddr,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A backend answered, which was reached at `backend` and saw `peer`.
    Answered { backend: SocketAddr, peer: SocketAddr },
    /// RST, or ICMP port unreachable.
    Rejected,
    /// Another ICMP error, or an answer that makes no sense.
    Odd(String),
    /// Nothing came back.
    Silent,
}

enum Socket {
    Connecting(TcpStream),
    Reading(TcpStream),
    Datagram(UdpSocket),
    Done,
}

/// Sends all of `tries` from `namespace`; each has `patience` to be answered.
pub fn send(namespace: &Namespace, tries: &[Try], patience: Duration) -> Result<Vec<Outcome>> {
    namespace.enter(|| {
        let chunks = tries.chunks(AT_ONCE).map(|chunk| send_chunk(chunk, patience));
        Ok(chunks.collect::<Result<Vec<_>>>()?.concat())
    })?
}

fn send_chunk(tries: &[Try], patience: Duration) -> Result<Vec<Outcome>> {
    let mut outcomes = vec![Outcome::Silent; tries.len()];
    let mut sockets = Vec::new();
    for (one, outcome) in tries.iter().zip(&mut outcomes) {
        sockets.push(open(one, outcome).with_context(|| format!("cannot try {one:?}"))?);
    }
    let deadline = Instant::now() + patience;
    loop {
        let open: Vec<usize> =
            (0..sockets.len()).filter(|index| !matches!(sockets[*index], Socket::Done)).collect();
        let left = deadline.saturating_duration_since(Instant::now());
        if open.is_empty() || left.is_zero() {
            return Ok(outcomes);
        }
        let mut waiting: Vec<_> =
            open.iter().map(|index| PollFd::new(sockets[*index].fd(), sockets[*index].event())).collect();
        let limit = PollTimeout::try_from(left.as_millis().min(1000) as i32 + 1).unwrap_or(PollTimeout::ZERO);
        match poll(&mut waiting, limit) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error).context("poll"),
        }
        let ready: Vec<usize> = open
            .iter()
            .zip(&waiting)
            .filter(|(_, socket)| socket.any() == Some(true))
            .map(|(index, _)| *index)
            .collect();
        for index in ready {
            let socket = std::mem::replace(&mut sockets[index], Socket::Done);
            sockets[index] = advance(socket, &mut outcomes[index]);
        }
    }
}

impl Socket {
    fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Socket::Connecting(stream) | Socket::Reading(stream) => stream.as_fd(),
            Socket::Datagram(socket) => socket.as_fd(),
            Socket::Done => unreachable!("what is done is not waited for"),
        }
    }

    fn event(&self) -> PollFlags {
        if matches!(self, Socket::Connecting(_)) { PollFlags::POLLOUT } else { PollFlags::POLLIN }
    }
}

fn open(one: &Try, outcome: &mut Outcome) -> Result<Socket> {
    if one.protocol == Protocol::Udp {
        let socket = UdpSocket::bind(one.from)?;
        socket.set_nonblocking(true)?;
        socket.connect(one.to)?;
        if let Err(error) = socket.send(b"who") {
            *outcome = outcome_of(&error);
            return Ok(Socket::Done);
        }
        return Ok(Socket::Datagram(socket));
    }
    let family = if one.to.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let socket = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, None)?;
    setsockopt(&socket, ReuseAddr, &true)?;
    // Ends by a reset, which leaves no connection waiting at either end.
    setsockopt(&socket, Linger, &libc::linger { l_onoff: 1, l_linger: 0 })?;
    bind(socket.as_raw_fd(), &SockaddrStorage::from(one.from))?;
    match connect(socket.as_raw_fd(), &SockaddrStorage::from(one.to)) {
        Ok(()) | Err(Errno::EINPROGRESS) => Ok(Socket::Connecting(TcpStream::from(socket))),
        Err(error) => {
            *outcome = outcome_of(&error.into());
            Ok(Socket::Done)
        }
    }
}

fn advance(socket: Socket, outcome: &mut Outcome) -> Socket {
    if let Socket::Connecting(stream) = socket {
        if let Ok(Some(error)) | Err(error) = stream.take_error() {
            *outcome = outcome_of(&error);
            return Socket::Done;
        }
        return Socket::Reading(stream);
    }
    let mut answer = [0; 200];
    let read = match &socket {
        Socket::Reading(stream) => (&*stream).read(&mut answer),
        Socket::Datagram(socket) => socket.recv(&mut answer),
        Socket::Connecting(_) | Socket::Done => return socket,
    };
    match read {
        Ok(length) => *outcome = read_answer(&String::from_utf8_lossy(&answer[..length])),
        Err(error) if error.kind() == ErrorKind::WouldBlock => return socket,
        Err(error) => *outcome = outcome_of(&error),
    }
    Socket::Done
}

fn outcome_of(error: &std::io::Error) -> Outcome {
    if error.kind() == ErrorKind::ConnectionRefused {
        Outcome::Rejected
    } else {
        Outcome::Odd(error.to_string())
    }
}

fn read_answer(answer: &str) -> Outcome {
    let mut parts = answer.split_whitespace().map(str::parse);
    match (parts.next(), parts.next()) {
        (Some(Ok(backend)), Some(Ok(peer))) => Outcome::Answered { backend, peer },
        _ => Outcome::Odd(format!("answer {answer:?}")),
    }
}
