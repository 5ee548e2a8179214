//! UDP sockets on backends, which enter what arrives into a ledger.

use std::{
    net::{SocketAddr, UdpSocket},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use nix::sys::socket::{setsockopt, sockopt::RcvBufForce};
use penstock::netns::Backend;
use penstock_pktgen::{Ledger, Stamp};

/// Bytes that may wait in a socket: more than any test sends in the time a thread may be kept waiting.
const BUFFER_BYTES: usize = 64 << 20;

/// A socket on a backend.
#[derive(Debug)]
pub struct UdpSink {
    socket: UdpSocket,
}

impl UdpSink {
    /// One socket for each address of `backend`.
    pub fn open(backend: &Backend, port: u16) -> Result<Vec<UdpSink>> {
        let open = |address| {
            let socket = backend.namespace.enter(|| UdpSocket::bind(SocketAddr::new(address, port)))?;
            let socket = socket.with_context(|| format!("cannot listen on {address} port {port}/udp"))?;
            setsockopt(&socket, RcvBufForce, &BUFFER_BYTES)?;
            Ok(UdpSink { socket })
        };
        backend.addresses.iter().map(|address| open(*address)).collect()
    }

    /// Enters arrivals into `ledger` until nothing has come for `silence` and `is_over` says so.
    pub fn follow(
        &self,
        ledger: &Mutex<Ledger>,
        silence: Duration,
        is_over: impl Fn() -> bool,
    ) -> Result<()> {
        self.socket.set_read_timeout(Some(silence))?;
        let mut buffer = [0; 2048];
        loop {
            match self.socket.recv(&mut buffer) {
                Ok(length) => {
                    let stamp = Stamp::read(&buffer[..length]);
                    ledger.lock().unwrap_or_else(PoisonError::into_inner).enter(stamp);
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    if is_over() {
                        return Ok(());
                    }
                }
                // One that was stopped meanwhile, be it with the whole machine.
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("cannot receive"),
            }
        }
    }
}
