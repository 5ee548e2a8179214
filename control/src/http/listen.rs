//! A listening socket with pages, that is closed when told so, and one that is tried again until it can be had.

use axum::Router;
use nix::sys::socket::{
    self, AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, setsockopt, sockopt,
};
use std::{
    io,
    net::{SocketAddr, TcpListener},
    os::fd::{AsRawFd, OwnedFd},
    time::Duration,
};
use tokio::{sync::oneshot, task::JoinHandle};

/// How long a taken address is left before it is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// A server that listens.
#[derive(Debug)]
pub struct Listening {
    /// Dropped, it asks open connections to end.
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Listening {
    /// Listens on `address`, or says why it can't.
    pub fn start(address: SocketAddr, pages: Router) -> io::Result<Self> {
        let listener = tokio::net::TcpListener::from_std(bind(address)?)?;
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async move { drop(stopped.await) };
        let task = tokio::spawn(async move {
            // Only an accept that can't go on would end it, and axum goes on.
            let _: io::Result<()> = axum::serve(listener, pages).with_graceful_shutdown(stopped).await;
        });
        Ok(Self { stop, task })
    }

    /// Closes the socket; the address is free when this returns. Connections end with their request.
    pub async fn close(self) {
        drop(self.stop);
        self.task.abort();
        // Cancelled, as just asked for.
        let _ = self.task.await;
    }

    /// Listens on `address` as soon as that can be had, and from then on until the task is aborted.
    pub async fn whatever_it_takes(what: &'static str, address: SocketAddr, pages: Router) {
        loop {
            match Self::start(address, pages.clone()) {
                Ok(listening) => {
                    tracing::info!(%address, "{what} is served");
                    let _held = listening.stop;
                    let _ = listening.task.await;
                }
                Err(error) => {
                    let again = AGAIN.as_secs();
                    tracing::warn!(%address, %error, "{what} can't be served here; trying again every {again} s");
                }
            }
            tokio::time::sleep(AGAIN).await;
        }
    }
}

/// A listening socket of one family: an IPv6 one leaves IPv4 to others. Used addresses of connections that have just
/// ended do not count.
fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket: OwnedFd = socket::socket(family, SockType::Stream, flags, None)?;
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    if address.is_ipv6() {
        setsockopt(&socket, sockopt::Ipv6V6Only, &true)?;
    }
    socket::bind(socket.as_raw_fd(), &SockaddrStorage::from(address))?;
    socket::listen(&socket, Backlog::new(128)?)?;
    Ok(TcpListener::from(socket))
}
