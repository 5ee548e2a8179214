//! Backends that say who they are: whatever connects or sends a datagram is told `OWN PEER`, the address and port it
//! reached, and those that it was seen with.
//!
//! One thread serves all addresses of a namespace. A TCP connection is left to the client to end, by a reset, so that
//! nothing stays behind at either end.

use std::{
    collections::VecDeque,
    io::Write,
    net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::AsFd,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use anyhow::{Context, Result};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use penstock::netns::Namespace;

/// Connections that are kept open for their clients.
const KEPT: usize = 2048;

/// The running servers of one namespace.
pub struct Responder {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Responder {
    /// Listens on `ports` of `addresses`, which are the namespace's own.
    pub fn start(namespace: &Namespace, addresses: &[IpAddr], ports: &[u16]) -> Result<Responder> {
        let sockets = namespace.enter(|| open(addresses, ports))??;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || serve(&sockets, &stopped));
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

type Sockets = (Vec<TcpListener>, Vec<UdpSocket>);

fn open(addresses: &[IpAddr], ports: &[u16]) -> Result<Sockets> {
    let (mut listeners, mut datagrams) = (Vec::new(), Vec::new());
    for port in ports {
        // Serves IPv4 too.
        let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, *port));
        let listener = TcpListener::bind(any).with_context(|| format!("cannot listen on port {port}"))?;
        listener.set_nonblocking(true)?;
        listeners.push(listener);
        for address in addresses {
            // One socket an address: its answer comes from where the question went.
            let socket = UdpSocket::bind((*address, *port))
                .with_context(|| format!("cannot listen on {address} port {port}/udp"))?;
            socket.set_nonblocking(true)?;
            datagrams.push(socket);
        }
    }
    Ok((listeners, datagrams))
}

fn serve((listeners, datagrams): &Sockets, stop: &AtomicBool) {
    let mut kept = VecDeque::new();
    while !stop.load(Ordering::Relaxed) {
        let all = listeners.iter().map(AsFd::as_fd).chain(datagrams.iter().map(AsFd::as_fd));
        let mut waiting: Vec<_> = all.map(|socket| PollFd::new(socket, PollFlags::POLLIN)).collect();
        let _ = poll(&mut waiting, PollTimeout::from(100u8));
        let has_something: Vec<bool> = waiting.iter().map(|socket| socket.any() == Some(true)).collect();
        let (for_listeners, for_datagrams) = has_something.split_at(listeners.len());
        for (listener, _) in listeners.iter().zip(for_listeners).filter(|(_, ready)| **ready) {
            while let Ok((stream, peer)) = listener.accept() {
                greet(&stream, peer);
                kept.push_back(stream);
            }
        }
        for (socket, _) in datagrams.iter().zip(for_datagrams).filter(|(_, ready)| **ready) {
            let mut question = [0; 64];
            while let Ok((_, peer)) = socket.recv_from(&mut question) {
                if let Ok(own) = socket.local_addr() {
                    let _ = socket.send_to(text(own, peer).as_bytes(), peer);
                }
            }
        }
        kept.drain(..kept.len().saturating_sub(KEPT));
    }
}

fn greet(mut stream: &TcpStream, peer: SocketAddr) {
    if let Ok(own) = stream.local_addr() {
        let _ = stream.write_all(text(own, peer).as_bytes());
    }
}

fn text(own: SocketAddr, peer: SocketAddr) -> String {
    let plain = |socket: SocketAddr| SocketAddr::new(socket.ip().to_canonical(), socket.port());
    format!("{} {}\n", plain(own), plain(peer))
}
