//! Connections, associations and datagrams, many at a time, and what becomes of each.

use std::{
    collections::BTreeMap,
    io::{ErrorKind, Read, Write},
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

use crate::{arena::Side, places::Place, sctp::Raw};

/// How many are under way at once.
const AT_ONCE: usize = 800;

/// What is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    Tcp,
    Udp,
    Sctp,
    /// A `healthCheckNodePort`, over HTTP.
    Health,
}

/// One new flow.
#[derive(Debug, Clone, Copy)]
pub struct Try {
    pub protocol: Protocol,
    pub place: Place,
    pub from: SocketAddr,
    pub to: SocketAddr,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A backend answered, which was reached at `backend` and saw `peer`.
    Answered { backend: SocketAddr, peer: SocketAddr },
    /// What a `healthCheckNodePort` says.
    Health(String),
    /// RST, or ICMP port unreachable.
    Rejected,
    /// Another ICMP error, or an answer that makes no sense.
    Odd(String),
    /// Nothing came back.
    Silent,
}

/// A flow with its socket.
pub struct Flow {
    one: Try,
    socket: Socket,
    pub outcome: Outcome,
}

enum Socket {
    Connecting(TcpStream),
    Stream(TcpStream),
    Datagram(UdpSocket),
    Raw(Raw),
    None,
}

/// Sends all of `tries`; each has `patience` to be answered.
pub fn send(side: &Side, tries: &[Try], patience: Duration) -> Result<Vec<Outcome>> {
    let chunks = tries.chunks(AT_ONCE).map(|chunk| {
        let flows = start(side, chunk, patience)?;
        Ok(flows.into_iter().map(|flow| flow.outcome).collect())
    });
    Ok(chunks.collect::<Result<Vec<Vec<_>>>>()?.concat())
}

/// The same, and leaves the flows open.
pub fn start(side: &Side, tries: &[Try], patience: Duration) -> Result<Vec<Flow>> {
    let mut by_place = BTreeMap::<Place, Vec<(usize, Try)>>::new();
    for (index, one) in tries.iter().enumerate() {
        by_place.entry(one.place).or_default().push((index, *one));
    }
    let mut flows = Vec::new();
    for (place, tries) in by_place {
        let open =
            || tries.iter().map(|(index, one)| Ok((*index, Flow::open(*one)?))).collect::<Result<Vec<_>>>();
        flows.extend(side.namespace(place).enter(open)??);
    }
    flows.sort_by_key(|(index, _)| *index);
    let mut flows: Vec<Flow> = flows.into_iter().map(|(_, flow)| flow).collect();
    wait(&mut flows.iter_mut().collect::<Vec<_>>(), patience)?;
    Ok(flows)
}

/// Says something more in each flow and waits for what comes of it.
pub fn say_more(flows: &mut [&mut Flow], patience: Duration) -> Result<()> {
    for flow in flows.iter_mut() {
        flow.say_more();
    }
    wait(flows, patience)
}

/// Until every flow has its outcome, or `patience` is at its end.
fn wait(flows: &mut [&mut Flow], patience: Duration) -> Result<()> {
    let deadline = Instant::now() + patience;
    loop {
        let mut open: Vec<&mut Flow> =
            flows.iter_mut().map(|flow| &mut **flow).filter(|flow| flow.is_waiting()).collect();
        let left = deadline.saturating_duration_since(Instant::now());
        if open.is_empty() || left.is_zero() {
            return Ok(());
        }
        let ready: Vec<bool> = {
            let mut waiting: Vec<_> =
                open.iter().filter_map(|flow| Some(PollFd::new(flow.fd()?, flow.event()))).collect();
            let limit =
                PollTimeout::try_from(left.as_millis().min(1000) as i32 + 1).unwrap_or(PollTimeout::ZERO);
            match poll(&mut waiting, limit) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => return Err(error).context("poll"),
            }
            waiting.iter().map(|socket| socket.any() == Some(true)).collect()
        };
        for (flow, _) in open.iter_mut().zip(ready).filter(|(_, ready)| *ready) {
            flow.advance();
        }
    }
}

impl Flow {
    fn open(one: Try) -> Result<Flow> {
        let mut flow = Flow { one, socket: Socket::None, outcome: Outcome::Silent };
        match flow.connect().with_context(|| format!("cannot try {one:?}"))? {
            Ok(socket) => flow.socket = socket,
            Err(error) => flow.outcome = outcome_of(&error),
        }
        Ok(flow)
    }

    /// The outer error is the test's own, the inner one what the network says.
    fn connect(&self) -> Result<std::io::Result<Socket>> {
        let Try { protocol, from, to, .. } = self.one;
        match protocol {
            Protocol::Udp => {
                let socket = UdpSocket::bind(from)?;
                socket.set_nonblocking(true)?;
                socket.connect(to)?;
                Ok(socket.send(b"who").map(|_| Socket::Datagram(socket)))
            }
            Protocol::Sctp => {
                let raw = Raw::open(from.ip(), Some(to.ip()))?;
                Ok(raw.start(from, to).map(|()| Socket::Raw(raw)).map_err(Into::into))
            }
            Protocol::Tcp | Protocol::Health => {
                let family = if to.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
                let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
                let socket = socket(family, SockType::Stream, flags, None)?;
                setsockopt(&socket, ReuseAddr, &true)?;
                // Ends by a reset, which leaves no connection waiting at either end.
                setsockopt(&socket, Linger, &libc::linger { l_onoff: 1, l_linger: 0 })?;
                bind(socket.as_raw_fd(), &SockaddrStorage::from(from))?;
                match connect(socket.as_raw_fd(), &SockaddrStorage::from(to)) {
                    Ok(()) | Err(Errno::EINPROGRESS) => Ok(Ok(Socket::Connecting(TcpStream::from(socket)))),
                    Err(error) => Ok(Err(error.into())),
                }
            }
        }
    }

    fn is_waiting(&self) -> bool {
        self.outcome == Outcome::Silent && !matches!(self.socket, Socket::None)
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        match &self.socket {
            Socket::Connecting(stream) | Socket::Stream(stream) => Some(stream.as_fd()),
            Socket::Datagram(socket) => Some(socket.as_fd()),
            Socket::Raw(raw) => Some(raw.0.as_fd()),
            Socket::None => None,
        }
    }

    fn event(&self) -> PollFlags {
        if matches!(self.socket, Socket::Connecting(_)) { PollFlags::POLLOUT } else { PollFlags::POLLIN }
    }

    fn advance(&mut self) {
        self.socket = match std::mem::replace(&mut self.socket, Socket::None) {
            Socket::Connecting(stream) => {
                if let Ok(Some(error)) | Err(error) = stream.take_error() {
                    self.outcome = outcome_of(&error);
                    return;
                }
                if self.one.protocol == Protocol::Health {
                    let _ = (&stream).write_all(b"GET / HTTP/1.0\r\n\r\n");
                }
                Socket::Stream(stream)
            }
            other => other,
        };
        let mut answer = [0; 600];
        let read = match &self.socket {
            Socket::Stream(stream) => (&*stream).read(&mut answer),
            Socket::Datagram(socket) => socket.recv(&mut answer),
            Socket::Raw(raw) => {
                let text = raw.answer(self.one.from, self.one.to).map_err(std::io::Error::from);
                text.and_then(|text| (&mut answer[..]).write(text.as_bytes()))
            }
            Socket::Connecting(_) | Socket::None => return,
        };
        match read {
            Ok(length) => {
                let answer = String::from_utf8_lossy(&answer[..length]);
                self.outcome = match self.one.protocol {
                    Protocol::Health => read_health(&answer),
                    _ => read_answer(&answer),
                };
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => self.outcome = outcome_of(&error),
        }
    }

    /// Only of UDP and TCP: the kernel has no SCTP to go on with.
    fn say_more(&mut self) {
        let sent = match &self.socket {
            Socket::Stream(stream) => (&*stream).write(b"and now\n"),
            Socket::Datagram(socket) => {
                // Errors that came for what was said before.
                let _ = socket.take_error();
                socket.send(b"and now")
            }
            _ => return,
        };
        self.outcome = match sent {
            Ok(_) => Outcome::Silent,
            Err(error) => outcome_of(&error),
        };
    }
}

fn outcome_of(error: &std::io::Error) -> Outcome {
    if error.kind() == ErrorKind::ConnectionRefused {
        Outcome::Rejected
    } else {
        Outcome::Odd(error.to_string())
    }
}

fn read_answer(answer: &str) -> Outcome {
    // The last one, where several came together.
    let mut parts = answer.lines().last().unwrap_or_default().split_whitespace().map(str::parse);
    match (parts.next(), parts.next()) {
        (Some(Ok(backend)), Some(Ok(peer))) => Outcome::Answered { backend, peer },
        _ => Outcome::Odd(format!("answer {answer:?}")),
    }
}

/// The status and the header that tells how many endpoints there are; the rest may be written otherwise.
fn read_health(answer: &str) -> Outcome {
    let status = answer.split(' ').nth(1).unwrap_or("no status");
    let weight = answer.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("x-load-balancing-endpoint-weight").then(|| value.trim().to_owned())
    });
    Outcome::Health(format!("{status}, {} local endpoints", weight.unwrap_or_else(|| "unknown".to_owned())))
}
