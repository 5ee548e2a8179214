//! The way back to the kernel, for packets that turn out not to be ours: a TUN device.
//!
//! In: an IP packet. Out: the kernel takes it as received on this device, routes it or delivers it. One device for all
//! workers, which write to it at once; a write is a system call, so this is for the few packets that the classifier could
//! not tell from ours, such as those a backend sends of its own accord from a port it serves on.
//!
//! The device goes with the value. To the kernel such packets come in by this device instead of the one they came by:
//! firewall rules and routing policies that name an incoming interface must allow for it. Reverse path filters are off
//! on it; where they are on for all interfaces it filters loosely, which needs an address to work: the dummy one of
//! RFC 7600, 192.0.0.8.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::fd::AsRawFd,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// Where TUN devices are made.
const CLONE_DEVICE: &str = "/dev/net/tun";
/// Names of our devices: the kernel puts in the first free number.
const NAME_PATTERN: &str = "penstock%d";
/// The largest packet there is.
const MTU: u16 = u16::MAX;
/// `rp_filter`: the source must be routable, by whatever interface.
const LOOSE: u8 = 2;
/// The IPv4 dummy address of RFC 7600.
const DUMMY_ADDRESS: [u8; 4] = [192, 0, 0, 8];

/// See the module.
#[derive(Debug)]
pub struct Tun {
    file: File,
    name: String,
}

/// Why there is no way back to the kernel.
#[derive(Debug, thiserror::Error)]
#[error("{step}: {source} (needs CAP_NET_ADMIN, and the module tun)")]
pub struct TunError {
    /// What was tried.
    pub step: String,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

impl Tun {
    /// Makes the device in this thread's network namespace and brings it up.
    pub fn open() -> Result<Self, TunError> {
        let failed = |step: &str| {
            let step = step.to_owned();
            move |source| TunError { step, source }
        };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(CLONE_DEVICE)
            .map_err(failed("cannot open /dev/net/tun"))?;
        let name =
            system::create(file.as_raw_fd(), NAME_PATTERN).map_err(failed("cannot make a TUN device"))?;
        let tun = Self { file, name };
        let filter = tun.filter_loosely().map_err(failed("cannot set its reverse path filter"))?;
        // Nobody reads what the kernel would send there by itself, such as router solicitations.
        let _ = std::fs::write(tun.sysctl("ipv6", "addr_gen_mode"), "1");
        let address = filter.then_some(DUMMY_ADDRESS);
        system::bring_up(&tun.name, MTU, address).map_err(failed("cannot bring up the TUN device"))?;
        Ok(tun)
    }

    /// The name of the device.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Gives the kernel an IP packet; bytes behind its end do not matter. `false`: it did not take it.
    pub fn give(&self, packet: &[u8]) -> bool {
        (&self.file).write(packet).is_ok_and(|written| written == packet.len())
    }

    /// True: packets are filtered, though loosely, because the filter is on for all interfaces.
    ///
    /// The stricter of the two settings counts. In a container sysctls are read-only as a rule: that is an error only
    /// where what the device was born with (`net.ipv4.conf.default`) filters strictly.
    fn filter_loosely(&self) -> io::Result<bool> {
        let read =
            |path: &Path| Ok::<_, io::Error>(std::fs::read_to_string(path)?.trim().parse().unwrap_or(0));
        let path = self.sysctl("ipv4", "rp_filter");
        let (all, own): (u8, u8) = (read(Path::new("/proc/sys/net/ipv4/conf/all/rp_filter"))?, read(&path)?);
        let wanted = if all == 0 { 0 } else { LOOSE };
        if own == wanted {
            return Ok(wanted == LOOSE);
        }
        match std::fs::write(&path, wanted.to_string()) {
            Ok(()) => Ok(wanted == LOOSE),
            Err(_) if all.max(own) == LOOSE => Ok(true),
            Err(error) => Err(error),
        }
    }

    fn sysctl(&self, family: &str, key: &str) -> PathBuf {
        ["/proc/sys/net", family, "conf", &self.name, key].iter().collect()
    }
}

/// The system calls.
#[expect(unsafe_code, reason = "plain system calls")]
mod system {
    use std::{
        io,
        os::fd::{AsRawFd, RawFd},
    };

    /// `TUNSETIFF` of linux/if_tun.h.
    const TUNSETIFF: libc::c_ulong = 0x4004_54ca;
    /// `IFF_TUN | IFF_NO_PI` of linux/if_tun.h: IP packets, without a header before them.
    const TUN_NO_PI: libc::c_short = 0x0001 | 0x1000;

    fn request(name: &str) -> libc::ifreq {
        // SAFETY: all zeroes is a valid `ifreq`.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        for (to, from) in request.ifr_name.iter_mut().take(libc::IFNAMSIZ - 1).zip(name.bytes()) {
            *to = from as libc::c_char;
        }
        request
    }

    fn ioctl(fd: RawFd, number: libc::c_ulong, request: &mut libc::ifreq) -> io::Result<()> {
        // SAFETY: all requests of this file read and write an `ifreq`, which lives through the call.
        match unsafe { libc::ioctl(fd, number as _, std::ptr::from_mut(request)) } {
            0.. => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Makes a device of an open clone device. Returns its name.
    pub(super) fn create(fd: RawFd, pattern: &str) -> io::Result<String> {
        let mut request = request(pattern);
        request.ifr_ifru.ifru_flags = TUN_NO_PI;
        ioctl(fd, TUNSETIFF, &mut request)?;
        let name = request.ifr_name.iter().take_while(|byte| **byte != 0);
        Ok(name.map(|byte| char::from(*byte as u8)).collect())
    }

    pub(super) fn bring_up(name: &str, mtu: u16, address: Option<[u8; 4]>) -> io::Result<()> {
        let socket = std::net::UdpSocket::bind(("0.0.0.0", 0))?;
        let fd = socket.as_raw_fd();
        let mut mtu_request = request(name);
        mtu_request.ifr_ifru.ifru_mtu = libc::c_int::from(mtu);
        ioctl(fd, libc::SIOCSIFMTU as libc::c_ulong, &mut mtu_request)?;
        if let Some(address) = address {
            set_address(fd, libc::SIOCSIFADDR as libc::c_ulong, name, address)?;
            set_address(fd, libc::SIOCSIFNETMASK as libc::c_ulong, name, [255; 4])?;
        }
        let mut flags = request(name);
        ioctl(fd, libc::SIOCGIFFLAGS as libc::c_ulong, &mut flags)?;
        // SAFETY: SIOCGIFFLAGS has filled in this member.
        let held = unsafe { flags.ifr_ifru.ifru_flags };
        flags.ifr_ifru.ifru_flags = held | libc::IFF_UP as libc::c_short;
        ioctl(fd, libc::SIOCSIFFLAGS as libc::c_ulong, &mut flags)
    }

    fn set_address(fd: RawFd, number: libc::c_ulong, name: &str, address: [u8; 4]) -> io::Result<()> {
        let mut request = request(name);
        let mut data = [0; 14];
        for (to, from) in data[2..6].iter_mut().zip(address) {
            *to = from as libc::c_char;
        }
        request.ifr_ifru.ifru_addr =
            libc::sockaddr { sa_family: libc::AF_INET as libc::sa_family_t, sa_data: data };
        ioctl(fd, number, &mut request)
    }
}
