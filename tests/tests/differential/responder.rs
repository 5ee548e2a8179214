//! Backends that say who they are: whatever connects or sends a datagram is told `OWN PEER`, the address and port it
//! reached, and those that it was seen with; and again, whenever it says something more.
//!
//! One thread serves all backends of a world. A TCP connection is left to the client to end, by a reset, so that
//! nothing stays behind at either end.

use std::{
    collections::VecDeque,
    io::{ErrorKind, Read, Write},
    net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::AsFd,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use anyhow::{Context, Result};
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{Backlog, listen},
};
use penstock::netns::World;

use crate::{
    places::{BACKEND_PORTS, CANARY_PORTS},
    sctp::Raw,
};

/// Connections that are kept open for their clients.
const KEPT: usize = 2048;
/// Connections that may wait to be accepted: more than a side is ever sent at once. What is beyond the 128 that they are
/// by themselves is dropped, and tried again a second later, when nobody waits any more.
const AT_ONCE: i32 = 4096;

/// The running servers of a world.
pub struct Responder {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Responder {
    /// Listens in every backend of `world`.
    pub fn start(world: &World) -> Result<Responder> {
        let mut sockets = Sockets::default();
        for backend in &world.backends {
            let open = || sockets.open(&backend.addresses, backend.number == 1);
            backend.namespace.enter(open)?.with_context(|| format!("cannot serve as {}", backend.name()))?;
        }
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || sockets.serve(&stopped));
        Ok(Responder { stop, thread: Some(thread) })
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[derive(Default)]
struct Sockets {
    listeners: Vec<TcpListener>,
    datagrams: Vec<UdpSocket>,
    raws: Vec<(IpAddr, Raw)>,
    kept: VecDeque<(TcpStream, SocketAddr)>,
}

impl Sockets {
    fn open(&mut self, addresses: &[IpAddr], has_canary: bool) -> Result<()> {
        let canary = CANARY_PORTS.iter().filter(|_| has_canary);
        for port in BACKEND_PORTS.iter().chain(canary) {
            // Serves IPv4 too.
            let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, *port));
            let listener = TcpListener::bind(any).with_context(|| format!("cannot listen on port {port}"))?;
            listener.set_nonblocking(true)?;
            listen(&listener, Backlog::new(AT_ONCE)?)?;
            self.listeners.push(listener);
        }
        for address in addresses {
            for port in BACKEND_PORTS {
                // One socket an address: its answer comes from where the question went.
                let socket = UdpSocket::bind((*address, port))
                    .with_context(|| format!("cannot listen on {address} port {port}/udp"))?;
                socket.set_nonblocking(true)?;
                self.datagrams.push(socket);
            }
            let raw = Raw::open(*address, None).with_context(|| format!("cannot speak SCTP on {address}"))?;
            self.raws.push((*address, raw));
        }
        Ok(())
    }

    fn serve(mut self, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            let ready = self.wait();
            let (for_listeners, rest) = ready.split_at(self.listeners.len());
            let (for_datagrams, rest) = rest.split_at(self.datagrams.len());
            let (for_raws, for_kept) = rest.split_at(self.raws.len());
            let mut told = for_kept.iter();
            self.kept.retain(|(stream, peer)| told.next() != Some(&true) || converse(stream, *peer));
            for (listener, _) in self.listeners.iter().zip(for_listeners).filter(|(_, ready)| **ready) {
                while let Ok((stream, peer)) = listener.accept() {
                    let is_usable = stream.set_nonblocking(true).is_ok();
                    if is_usable && greet(&stream, peer).is_ok() {
                        self.kept.push_back((stream, peer));
                    }
                }
            }
            for (socket, _) in self.datagrams.iter().zip(for_datagrams).filter(|(_, ready)| **ready) {
                let mut question = [0; 64];
                while let Ok((_, peer)) = socket.recv_from(&mut question) {
                    if let Ok(own) = socket.local_addr() {
                        let _ = socket.send_to(text(own, peer).as_bytes(), peer);
                    }
                }
            }
            for ((own, raw), _) in self.raws.iter().zip(for_raws).filter(|(_, ready)| **ready) {
                raw.respond(*own, &BACKEND_PORTS, text);
            }
            self.kept.drain(..self.kept.len().saturating_sub(KEPT));
        }
    }

    /// Which of all have something, in the order of the fields.
    fn wait(&self) -> Vec<bool> {
        let kept = self.kept.iter().map(|(stream, _)| stream.as_fd());
        let raws = self.raws.iter().map(|(_, raw)| raw.0.as_fd());
        let all = self.listeners.iter().map(AsFd::as_fd).chain(self.datagrams.iter().map(AsFd::as_fd));
        let all = all.chain(raws).chain(kept);
        let mut waiting: Vec<_> = all.map(|socket| PollFd::new(socket, PollFlags::POLLIN)).collect();
        let _ = poll(&mut waiting, PollTimeout::from(100u8));
        waiting.iter().map(|socket| socket.any() == Some(true)).collect()
    }
}

/// Answers what was said; false where the connection is at its end.
fn converse(mut stream: &TcpStream, peer: SocketAddr) -> bool {
    let mut said = [0; 64];
    match stream.read(&mut said) {
        Ok(0) => false,
        Ok(_) => greet(stream, peer).is_ok(),
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    }
}

fn greet(mut stream: &TcpStream, peer: SocketAddr) -> std::io::Result<()> {
    let own = stream.local_addr()?;
    stream.write_all(text(own, peer).as_bytes())
}

fn text(own: SocketAddr, peer: SocketAddr) -> String {
    let plain = |socket: SocketAddr| SocketAddr::new(socket.ip().to_canonical(), socket.port());
    format!("{} {}\n", plain(own), plain(peer))
}
