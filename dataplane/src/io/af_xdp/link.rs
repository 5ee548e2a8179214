//! The system calls around the sockets that no crate wraps: link facts, polling, limits, socket options.
#![expect(unsafe_code, reason = "plain system calls")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

/// `XDP_MAX_TX_SKB_BUDGET` of linux/if_xdp.h (Linux 6.17).
const XDP_MAX_TX_SKB_BUDGET: libc::c_int = 9;
/// asm-generic/socket.h.
const SO_BUSY_POLL: libc::c_int = 46;
const SO_INCOMING_NAPI_ID: libc::c_int = 56;
const SO_PREFER_BUSY_POLL: libc::c_int = 69;
const SO_BUSY_POLL_BUDGET: libc::c_int = 70;
/// Any time but none lets a call poll; ours poll once.
const BUSY_POLL_US: u32 = 20;

/// The MTU of an interface of this thread's network namespace.
pub(super) fn mtu(interface: &str) -> io::Result<u32> {
    if interface.is_empty() || interface.len() >= libc::IFNAMSIZ || interface.contains('\0') {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    let socket = std::net::UdpSocket::bind(("0.0.0.0", 0))?;
    // SAFETY: all zeroes is a valid `ifreq`.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes()) {
        *to = from as libc::c_char;
    }
    // SAFETY: SIOCGIFMTU reads and writes an `ifreq`, which lives through the call.
    if unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFMTU, &mut request) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: SIOCGIFMTU has filled in this member.
    Ok(unsafe { request.ifr_ifru.ifru_mtu }.max(0) as u32)
}

/// Asks for unlimited locked memory. Where that is refused it may not be needed either: failure is only logged.
pub(super) fn raise_memlock() {
    let unlimited = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: reads a `rlimit`, which lives through the call.
    if unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &unlimited) } < 0 {
        tracing::debug!(error = %io::Error::last_os_error(), "RLIMIT_MEMLOCK could not be raised");
    }
}

/// Sets an option that is a number.
fn set_option(socket: BorrowedFd<'_>, level: libc::c_int, option: libc::c_int, value: u32) -> io::Result<()> {
    // SAFETY: the option is a `c_int` or a `u32`, which lives through the call.
    let refused = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const value).cast(),
            size_of::<u32>() as libc::socklen_t,
        )
    } < 0;
    if refused { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// An option of `SOL_SOCKET` that is a number, if it is another than none.
fn option(socket: BorrowedFd<'_>, option: libc::c_int) -> Option<u32> {
    let mut number: u32 = 0;
    let mut length = size_of::<u32>() as libc::socklen_t;
    // SAFETY: the option is a `c_int` or a `c_uint`, and value and length live through the call.
    let failed = unsafe {
        libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, option, (&raw mut number).cast(), &mut length)
    } < 0;
    (!failed && number != 0).then_some(number)
}

/// Lets one `sendto` send up to `packets` in copy mode, instead of 32. Older kernels refuse, which costs only speed.
pub(super) fn raise_send_budget(socket: BorrowedFd<'_>, packets: u32) {
    if let Err(error) = set_option(socket, libc::SOL_XDP, XDP_MAX_TX_SKB_BUDGET, packets) {
        tracing::debug!(%error, "XDP_MAX_TX_SKB_BUDGET could not be set");
    }
}

/// The error that the kernel noted on a socket on its own, if any, which clears it.
pub(super) fn pending_error(socket: BorrowedFd<'_>) -> Option<i32> {
    option(socket, libc::SO_ERROR).map(u32::cast_signed)
}

/// Has the driver of a bound socket's queue polled by the socket's calls, at most `budget` packets each, and its interrupt
/// off in between, as long as `gro_flush_timeout` and `napi_defer_hard_irqs` of the interface say.
pub(super) fn prefer_busy_poll(socket: BorrowedFd<'_>, budget: u32) -> io::Result<()> {
    set_option(socket, libc::SOL_SOCKET, SO_PREFER_BUSY_POLL, 1)?;
    set_option(socket, libc::SOL_SOCKET, SO_BUSY_POLL, BUSY_POLL_US)?;
    set_option(socket, libc::SOL_SOCKET, SO_BUSY_POLL_BUDGET, budget)
}

/// Which NAPI instance the socket's last packet came by, if the driver has such things.
pub(super) fn napi_id(socket: BorrowedFd<'_>) -> Option<u32> {
    option(socket, SO_INCOMING_NAPI_ID)
}

/// Polls the driver of a socket's queue once.
#[inline]
pub(super) fn drive(socket: BorrowedFd<'_>) {
    // SAFETY: no bytes are asked for, so there is no buffer. The result does not matter: the rings tell.
    unsafe {
        libc::recvfrom(
            socket.as_raw_fd(),
            std::ptr::null_mut(),
            0,
            libc::MSG_DONTWAIT,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
        );
    }
}

/// The sockets of a worker, for sleeping on all of them; the last place is for what wakes it otherwise.
#[derive(Debug)]
pub(super) struct PollSet(Vec<libc::pollfd>);

/// No descriptor: the kernel passes over it.
const NONE: libc::c_int = -1;

impl PollSet {
    /// A set that is only used while these are open.
    pub(super) fn new<'a>(sockets: impl Iterator<Item = BorrowedFd<'a>>) -> PollSet {
        let entry = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        PollSet(sockets.map(|socket| socket.as_raw_fd()).chain([NONE]).map(entry).collect())
    }

    /// Sleeps until one, or `wake`, can be read from, a signal comes, or `timeout` has passed. In copy mode the kernel also
    /// sends what is left in the transmit rings.
    pub(super) fn wait(&mut self, timeout: Duration, wake: Option<BorrowedFd<'_>>) {
        if let Some(last) = self.0.last_mut() {
            last.fd = wake.map_or(NONE, |wake| wake.as_raw_fd());
        }
        let timeout = libc::timespec {
            tv_sec: timeout.as_secs().min(i32::MAX as u64) as libc::time_t,
            tv_nsec: timeout.subsec_nanos().into(),
        };
        // SAFETY: the array and the time live through the call; no signal mask is given.
        // The result does not matter: whoever waited looks at the rings next.
        unsafe {
            libc::ppoll(self.0.as_mut_ptr(), self.0.len() as libc::nfds_t, &timeout, std::ptr::null());
        }
    }
}
