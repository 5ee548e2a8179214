//! The kinds of packets that are forwarded: IPv4 mostly; and IPv6, to see that it is as quick.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use crate::{bed::BACKENDS, objects, systems::Kind};

/// A kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    V4,
    V6,
}

impl Way {
    /// The first part of the names of its figures.
    pub(crate) fn figure(self) -> &'static str {
        match self {
            Way::V4 => "forward",
            Way::V6 => "forward-v6",
        }
    }

    /// Whether a system is measured with it: with IPv6 ours, the kernel, and kube-proxy in its better mode.
    pub(crate) fn concerns(self, kind: Kind) -> bool {
        let with_v6 = [Kind::PenstockFastlane, Kind::KernelForward, Kind::KubeProxyNftables];
        self == Way::V4 || with_v6.contains(&kind)
    }

    /// The address of a Service. Of IPv6 there is one.
    pub(crate) fn vip(self, number: usize) -> IpAddr {
        match self {
            Way::V4 => objects::address(number).into(),
            Way::V6 => Ipv6Addr::new(0xfd00, 0x96, 0, 0, 0, 0, 0, 0x64).into(),
        }
    }

    /// The addresses of a Service's endpoints, which are the sink's.
    pub(crate) fn backends(self) -> [IpAddr; 4] {
        match self {
            Way::V4 => BACKENDS.map(IpAddr::from),
            Way::V6 => {
                [0x11, 0x12, 0x13, 0x14].map(|host| Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, host).into())
            }
        }
    }

    /// Where flows come from.
    pub(crate) fn sources(self) -> &'static str {
        match self {
            Way::V4 => "10.1.128.0/17",
            Way::V6 => "fd00:1::1:0/112",
        }
    }

    /// An address where no flow comes from otherwise, of some thousands.
    pub(crate) fn source(self, number: u16) -> IpAddr {
        let [high, low] = (number % 4096).to_be_bytes();
        match self {
            Way::V4 => Ipv4Addr::new(10, 1, 64 + high, low).into(),
            Way::V6 => Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 2, number).into(),
        }
    }

    /// The shortest packets that a generator's mark fits in, with their check sequence.
    pub(crate) fn packet_bytes(self) -> u16 {
        match self {
            Way::V4 => 64,
            Way::V6 => 84,
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Way::V4 => "IPv4",
            Way::V6 => "IPv6",
        })
    }
}
