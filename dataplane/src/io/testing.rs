//! Helpers of the tests that need root: network namespaces, veth pairs, packet sockets.
#![expect(unsafe_code, reason = "packet sockets need addresses that no crate makes")]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};

/// Whether this test can run: it needs root. Without root it is skipped; in CI that is a failure.
pub(crate) fn root_or_skip() -> bool {
    if nix::unistd::geteuid().is_root() {
        return true;
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "this test needs root, and CI skips nothing");
    eprintln!("skipped: needs root");
    false
}

/// Runs `test` in a thread with a network namespace of its own, which has no name and goes with the thread.
pub(crate) fn in_namespace(test: impl FnOnce() + Send) {
    if !root_or_skip() {
        return;
    }
    thread::scope(|scope| {
        let inside = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            // No neighbour discovery or multicast reports between the packets of a test.
            std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1").unwrap();
            test();
        });
        if let Err(panic) = inside.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

/// Makes this thread (the system call, unlike the C library's, knows only threads) an ordinary user.
pub(crate) fn drop_capabilities() {
    // SAFETY: no pointers.
    let done = unsafe { libc::syscall(libc::SYS_setresuid, 65534, 65534, 65534) };
    assert_eq!(done, 0, "{}", io::Error::last_os_error());
}

/// Runs `ip` in this thread's namespace and returns what it printed.
pub(crate) fn ip(arguments: &str) -> String {
    let output = Command::new("ip").args(arguments.split_whitespace()).output().unwrap();
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A veth pair, both ends up.
pub(crate) fn veth(a: &str, b: &str, queues: u32) {
    let many = format!("numtxqueues {queues} numrxqueues {queues}");
    ip(&format!("link add name {a} {many} type veth peer name {b} {many}"));
    ip(&format!("link set dev {a} up"));
    ip(&format!("link set dev {b} up"));
}

/// The kernel's index of an interface.
pub(crate) fn ifindex(interface: &str) -> u32 {
    nix::net::if_::if_nametoindex(interface).unwrap()
}

/// A raw packet socket on an interface: a peer that sends and sees whole frames.
pub(crate) struct RawSocket(OwnedFd);

impl RawSocket {
    pub(crate) fn open(interface: &str) -> RawSocket {
        let protocol = (libc::ETH_P_ALL as u16).to_be();
        // SAFETY: no pointers; the descriptor is new and ours.
        let socket = unsafe {
            let fd = libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_NONBLOCK, protocol.into());
            assert!(fd >= 0, "{}", io::Error::last_os_error());
            OwnedFd::from_raw_fd(fd)
        };
        // SAFETY: all zeroes is a valid `sockaddr_ll`, and it lives through the call.
        let bound = unsafe {
            let mut address: libc::sockaddr_ll = std::mem::zeroed();
            address.sll_family = libc::AF_PACKET as u16;
            address.sll_protocol = protocol;
            address.sll_ifindex = ifindex(interface) as i32;
            let length = size_of::<libc::sockaddr_ll>() as u32;
            libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length)
        };
        assert_eq!(bound, 0, "{}", io::Error::last_os_error());
        let set = |level, option, value: libc::c_int| {
            // SAFETY: these options are a `c_int`, which lives through the call.
            let set =
                unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), 4) };
            assert_eq!(set, 0, "{}", io::Error::last_os_error());
        };
        // What this end itself sends is not to be seen.
        set(libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, 1);
        // The usual buffer holds some 270 small packets.
        set(libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, 8 << 20);
        RawSocket(socket)
    }

    pub(crate) fn send(&self, frame: &[u8]) {
        let sent = nix::unistd::write(&self.0, frame).unwrap();
        assert_eq!(sent, frame.len());
    }

    /// The next frame, if there is one by now.
    pub(crate) fn receive(&self) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 9216];
        match nix::unistd::read(&self.0, &mut buffer) {
            Ok(length) => {
                buffer.truncate(length);
                Some(buffer)
            }
            Err(nix::errno::Errno::EAGAIN) => None,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Calls `step` until it says true: for a minute at most, since the machine may have other things to do.
#[track_caller]
pub(crate) fn eventually(what: &str, mut step: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !step() {
        assert!(Instant::now() < end, "{what} did not happen in a minute");
        thread::sleep(Duration::from_micros(100));
    }
}
