//! Ranges of addresses and ports that flows are made of.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use ipnet::IpNet;

/// An address, the hosts of a network, or all from one address to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressRange {
    first: IpAddr,
    count: u64,
}

impl AddressRange {
    /// How many there are; not more than fit in 32 bits are used.
    pub fn count(self) -> u64 {
        self.count
    }

    /// Whether they are of IPv6.
    pub fn is_ipv6(self) -> bool {
        self.first.is_ipv6()
    }

    /// Address `index`, from the first again after the last.
    pub fn at(self, index: u64) -> IpAddr {
        let offset = index % self.count;
        match self.first {
            IpAddr::V4(first) => Ipv4Addr::from_bits(first.to_bits().wrapping_add(offset as u32)).into(),
            IpAddr::V6(first) => Ipv6Addr::from_bits(first.to_bits().wrapping_add(u128::from(offset))).into(),
        }
    }
}

impl From<IpAddr> for AddressRange {
    fn from(first: IpAddr) -> AddressRange {
        AddressRange { first, count: 1 }
    }
}

impl FromStr for AddressRange {
    type Err = String;

    fn from_str(text: &str) -> Result<AddressRange, String> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(address.into());
        }
        let wrong = || {
            "must be an address, a network or a range, as 10.1.0.2, 10.1.0.0/24 or 10.1.0.1-10.1.3.9"
                .to_owned()
        };
        if let Some((first, last)) = text.split_once('-') {
            return between(first, last).ok_or_else(wrong);
        }
        let network: IpNet = text.parse().map_err(|_| wrong())?;
        let free = network.max_prefix_len() - network.prefix_len();
        let all = 1_u64 << free.min(32);
        // The first is the network's own and, in IPv4, the last everybody's; two or one are all for hosts.
        let (skip, count) = match (network, free) {
            (_, 0 | 1) => (0, all),
            (IpNet::V4(_), _) => (1, all - 2),
            (IpNet::V6(_), _) => (1, all - 1),
        };
        let base = AddressRange { first: network.network(), count: u64::MAX };
        Ok(AddressRange { first: base.at(skip), count })
    }
}

fn between(first: &str, last: &str) -> Option<AddressRange> {
    let distance = match (first.trim().parse().ok()?, last.trim().parse().ok()?) {
        (IpAddr::V4(first), IpAddr::V4(last)) => u128::from(last.to_bits().checked_sub(first.to_bits())?),
        (IpAddr::V6(first), IpAddr::V6(last)) => last.to_bits().checked_sub(first.to_bits())?,
        _ => return None,
    };
    let count = u64::try_from(distance).ok().filter(|distance| *distance < 1 << 32)? + 1;
    Some(AddressRange { first: first.trim().parse().ok()?, count })
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.count {
            1 => write!(f, "{}", self.first),
            count => write!(f, "{} to {}", self.first, self.at(count - 1)),
        }
    }
}

/// Ports from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// How many.
    pub fn count(self) -> u64 {
        u64::from(self.last - self.first) + 1
    }

    /// Port `index`, from the first again after the last.
    pub fn at(self, index: u64) -> u16 {
        self.first + (index % self.count()) as u16
    }
}

impl FromStr for PortRange {
    type Err = String;

    fn from_str(text: &str) -> Result<PortRange, String> {
        let wrong = || "must be a port or a range of ports, as 53 or 1024-65535".to_owned();
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let port = |text: &str| text.trim().parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(wrong);
        let (first, last) = (port(first)?, port(last)?);
        if first <= last { Ok(PortRange { first, last }) } else { Err(wrong()) }
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}
