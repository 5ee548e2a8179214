//! Addresses and CIDRs as the API has accepted them through the years (§1.4, KEP-4858).
//!
//! Stored objects may have leading zeros, IPv4-mapped IPv6 addresses and CIDRs with host bits. They are read as Go
//! has always read them, and warned of.

use crate::fault::Faults;
use ipnet::IpNet;
use std::{
    borrow::Cow,
    net::{IpAddr, Ipv4Addr},
};

/// What is wrong with text that is no address.
pub(super) const NO_ADDRESS: &str = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
/// What is wrong with text that is no CIDR.
pub(super) const NO_CIDR: &str = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";

/// An address, with a warning if it is not written as it should be.
pub(super) fn address(path: &str, text: &str, faults: &mut Faults, warnings: &mut Faults) -> Option<IpAddr> {
    match lenient(text) {
        Some((address, warning)) => {
            if let Some(warning) = warning {
                warnings.invalid(path, text, warning);
            }
            Some(address)
        }
        None => {
            faults.invalid(path, text, NO_ADDRESS);
            None
        }
    }
}

/// A CIDR, blanks around it trimmed, host bits masked.
pub(super) fn cidr(path: &str, text: &str, faults: &mut Faults, warnings: &mut Faults) -> Option<IpNet> {
    let parsed = text.trim().split_once('/').and_then(|(address, length)| {
        let (address, warning) = lenient(address)?;
        let net = IpNet::new(address, length.parse().ok()?).ok()?;
        Some((net, warning))
    });
    let Some((net, warning)) = parsed else {
        faults.invalid(path, text, NO_CIDR);
        return None;
    };
    if let Some(warning) = warning {
        warnings.invalid(path, text, warning);
    } else if net.trunc() != net {
        warnings.invalid(path, text, "must not have bits set beyond the prefix length");
    }
    Some(net.trunc())
}

/// The address, and what a strict parser would say.
fn lenient(text: &str) -> Option<(IpAddr, Option<Cow<'static, str>>)> {
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V6(v6)) => match v6.to_ipv4_mapped() {
            Some(v4) => Some((v4.into(), Some("must not be an IPv4-mapped IPv6 address".into()))),
            None if v6.to_string() != text => {
                Some((v6.into(), Some(format!("should be in RFC 5952 canonical format (\"{v6}\")").into())))
            }
            None => Some((v6.into(), None)),
        },
        Ok(v4) => Some((v4, None)),
        Err(_) => Some((leading_zeros(text)?.into(), Some("must not have leading 0s".into()))),
    }
}

/// An IPv4 address with leading zeros, which are decimal.
fn leading_zeros(text: &str) -> Option<Ipv4Addr> {
    let mut octets = [0; 4];
    let mut parts = text.split('.');
    for octet in &mut octets {
        let part =
            parts.next().filter(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))?;
        *octet = part.parse().ok()?;
    }
    parts.next().is_none().then(|| octets.into())
}

/// Why an address can be neither an external IP nor an endpoint.
pub(super) fn special(address: IpAddr) -> Option<&'static str> {
    let (unspecified, loopback, link_local, link_local_multicast) = match address {
        IpAddr::V4(v4) => {
            (v4.is_unspecified(), v4.is_loopback(), v4.is_link_local(), v4.octets()[..3] == [224, 0, 0])
        }
        IpAddr::V6(v6) => (
            v6.is_unspecified(),
            v6.is_loopback(),
            v6.is_unicast_link_local(),
            // The scope is in the low four bits of the second octet; 2 is the link.
            v6.is_multicast() && v6.segments()[0] & 0xf == 2,
        ),
    };
    match () {
        () if unspecified => Some(match address {
            IpAddr::V4(_) => "may not be unspecified (0.0.0.0)",
            IpAddr::V6(_) => "may not be unspecified (::)",
        }),
        () if loopback => Some("may not be in the loopback range (127.0.0.0/8, ::1/128)"),
        () if link_local => Some("may not be in the link-local range (169.254.0.0/16, fe80::/10)"),
        () if link_local_multicast => {
            Some("may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)")
        }
        () => None,
    }
}

/// Why an address is no host's, though the API takes it for an endpoint.
pub(super) fn nobody(address: IpAddr) -> Option<&'static str> {
    match address {
        address if address.is_multicast() => Some(
            "is a multicast group, which no flow can be sent to: the endpoint is not used; it must be the address of a host",
        ),
        IpAddr::V4(Ipv4Addr::BROADCAST) => Some(
            "is the broadcast address, which no flow can be sent to: the endpoint is not used; it must be the address of a host",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Option<IpAddr>, usize) {
        let (mut faults, mut warnings) = (Faults::default(), Faults::default());
        let address = address("p", text, &mut faults, &mut warnings);
        assert_eq!(address.is_none(), !faults.is_empty());
        (address, warnings.into_vec().len())
    }

    // S-27
    #[test]
    fn legacy_spellings_are_read_and_warned_of() {
        assert_eq!(read("10.0.0.8"), (Some(Ipv4Addr::new(10, 0, 0, 8).into()), 0));
        assert_eq!(read("010.000.0.08"), (Some(Ipv4Addr::new(10, 0, 0, 8).into()), 1));
        assert_eq!(read("::ffff:1.2.3.4"), (Some(Ipv4Addr::new(1, 2, 3, 4).into()), 1));
        assert_eq!(read("2001:db8:0:0::2").1, 1);
        for wrong in ["", "10.0.0", "10.0.0.256", "10.0.0.1.2", "0x10.0.0.1", "10.0.0.1 ", "dns.name"] {
            assert_eq!(read(wrong).0, None, "{wrong}");
        }
        let (mut faults, mut warnings) = (Faults::default(), Faults::default());
        let net = cidr("p", " 10.1.2.3/24 ", &mut faults, &mut warnings).unwrap();
        assert_eq!(net.to_string(), "10.1.2.0/24");
        assert_eq!(warnings.into_vec().len(), 1);
    }
}
