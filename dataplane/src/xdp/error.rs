//! What can go wrong with the classifier, and what to do about it.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use aya::maps::MapError;
use aya::programs::ProgramError;

use crate::io::PortId;

/// Why the classifier could not be loaded, attached or told something.
#[derive(Debug, thiserror::Error)]
pub enum ClassifierError {
    /// The kernel did not take the program or its maps.
    #[error("the XDP classifier could not be loaded: {}{}", detail(.0), permission_hint(.0))]
    Load(#[from] aya::EbpfError),
    /// The kernel did not take the program.
    #[error("the XDP classifier was refused by the kernel{}: {}", verifier_hint(.0), detail(.0))]
    Verify(#[source] ProgramError),
    /// The kernel lacks something.
    #[error(
        "Linux {found} is too old: XDP links need 5.9, so that the classifier goes away with the process"
    )]
    KernelTooOld {
        /// The version that runs.
        found: String,
    },
    /// The object has no such part: it and this library were not built together.
    #[error("the classifier object has no {0}: rebuild it together with this library")]
    Missing(&'static str),
    /// A map could not be read or written.
    #[error("the classifier's map {map} could not be changed for {key}: {}{}", detail(.source), permission_hint(.source))]
    Map {
        /// The map.
        map: &'static str,
        /// Which entry.
        key: String,
        /// What the kernel said.
        #[source]
        source: MapError,
    },
    /// There is no such interface.
    #[error("there is no network interface {0}: `ip link` lists those there are")]
    NoSuchInterface(String),
    /// Another XDP program is there.
    #[error(
        "interface {0} already has an XDP program: remove it (`ip link set dev {0} xdp off`, and xdpgeneric off), \
         or stop the process that holds it"
    )]
    AlreadyAttached(String),
    /// The last mode that was to be tried did not work.
    #[error("XDP could not be attached to {interface}: {}{}", detail(.source), permission_hint(.source))]
    Attach {
        /// The interface.
        interface: String,
        /// Why.
        #[source]
        source: Box<ProgramError>,
    },
    /// Only so many queues can be served.
    #[error("queue {queue} of port {} cannot have a socket: queues 0 to 63 can (`ethtool -L` lowers their number)", .port.0)]
    QueueOutOfRange {
        /// The port.
        port: PortId,
        /// The queue.
        queue: u32,
    },
    /// A map of the fast lane could not be shared or changed.
    #[error("the fast lane's map {map} could not be used: {source}{}", permission_hint(.source))]
    LaneMap {
        /// The map.
        map: &'static str,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The classifier cannot redirect to an interface.
    #[error("packets cannot be redirected to interface {ifindex} (port {}): {}{}", .port.0, detail(.source.as_ref()), permission_hint(.source.as_ref()))]
    LanePort {
        /// The port.
        port: PortId,
        /// The interface.
        ifindex: u32,
        /// What the kernel said.
        #[source]
        source: Box<aya::maps::xdp::XdpMapError>,
    },
    /// A folder for pinned maps and links is on another file system.
    #[error(
        "{0} is not on a BPF file system, so nothing can be pinned there: mount one (`mount -t bpf bpf /sys/fs/bpf`) and name a folder on it"
    )]
    NotBpffs(PathBuf),
    /// A pinned map or link could not be used.
    #[error("{path} could not be {action}: {}{}", detail(.source), permission_hint(.source))]
    Pin {
        /// Where it is.
        path: PathBuf,
        /// What was to be done.
        action: &'static str,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// A NodePort of something else than TCP, UDP or SCTP.
    #[error("NodePort {port} has IP protocol {protocol}: only TCP (6), UDP (17) and SCTP (132) have ports")]
    NotAPortProtocol {
        /// IP protocol number.
        protocol: u8,
        /// Port.
        port: u16,
    },
}

/// An error with all of its causes, in one line.
fn detail(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        // Some errors print their cause already.
        if !text.ends_with(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text
}

/// The system's error number at the bottom of an error.
pub(super) fn errno(error: &(dyn Error + 'static)) -> Option<i32> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(number) = error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error) {
            return Some(number);
        }
        cause = error.source();
    }
    None
}

/// The verifier lets packet pointers be compared with null only to those who may see kernel addresses.
fn verifier_hint(error: &(dyn Error + 'static)) -> &'static str {
    match errno(error) {
        Some(libc::EPERM | libc::EACCES) => " (needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON, or root)",
        _ => "",
    }
}

fn permission_hint(error: &(dyn Error + 'static)) -> &'static str {
    match errno(error) {
        Some(libc::EPERM | libc::EACCES) => " (needs CAP_BPF and CAP_NET_ADMIN, or root)",
        _ => "",
    }
}
