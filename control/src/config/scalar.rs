//! The values that are written as words: durations, port ranges, addresses, CIDRs.
//!
//! Each parser's error says what would be right; the caller adds path and value.

use ipnet::IpNet;
use penstock_dataplane::wire::EtherAddr;
use std::{
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    time::Duration,
};

/// A duration as Go writes it: `30s`, `1h30m`, `1.5h`, `500ms`.
pub(super) fn duration(text: &str) -> Result<Duration, &'static str> {
    const REMEDY: &str = "must be a duration with units, as 500ms, 30s, 2m or 24h";
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return Err(REMEDY);
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or(REMEDY)?;
        let number: f64 = rest[..digits].parse().map_err(|_| REMEDY)?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
        let seconds = match &rest[..letters] {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(REMEDY),
        };
        rest = &rest[letters..];
        let part = Duration::try_from_secs_f64(number * seconds).map_err(|_| REMEDY)?;
        total = total.checked_add(part).ok_or(REMEDY)?;
    }
    Ok(total)
}

/// `first-last`, within 1024–65535.
pub(super) fn ports(text: &str) -> Result<RangeInclusive<u16>, &'static str> {
    const SHAPE: &str = "must be a range of ports, as \"61000-65535\"";
    let (first, last) = text.split_once('-').ok_or(SHAPE)?;
    let first: u16 = first.trim().parse().map_err(|_| SHAPE)?;
    let last: u16 = last.trim().parse().map_err(|_| SHAPE)?;
    match () {
        () if first < 1024 => Err("must not go below 1024: those ports belong to services of the node"),
        () if first > last => Err("must begin with the lower port"),
        () if last - first < 63 => {
            Err("must hold at least 64 ports; one is in use for each flow to a backend")
        }
        () => Ok(first..=last),
    }
}

/// A plain address.
pub(super) fn address(text: &str) -> Result<IpAddr, &'static str> {
    text.trim().parse().map_err(|_| "must be an IP address, as 192.0.2.10 or 2001:db8::10")
}

/// Where to listen: an address and a port, or an address alone for the default port.
pub(super) fn bind_address(text: &str, default_port: u16) -> Result<SocketAddr, String> {
    let text = text.trim();
    let whole = text.parse().or_else(|_| text.parse().map(|ip| SocketAddr::new(ip, default_port)));
    match whole {
        Ok(address) if address.port() != 0 => Ok(address),
        _ => Err(format!(
            "must be an address and a port, as 127.0.0.1:{default_port} or \"[::1]:{default_port}\"; write \"\" for none"
        )),
    }
}

/// A prefix without bits beyond its length.
pub(super) fn cidr(text: &str) -> Result<IpNet, String> {
    let net: IpNet = text.trim().parse().map_err(|_| "must be a CIDR, as 10.244.0.0/16 or fd00:10::/56")?;
    match net.trunc() {
        trunc if trunc == net => Ok(net),
        trunc => Err(format!("has bits set beyond the prefix length; write {trunc}")),
    }
}

/// An interface's address with its prefix length.
pub(super) fn interface_address(text: &str) -> Result<IpNet, &'static str> {
    text.trim()
        .parse()
        .map_err(|_| "must be an address with its prefix length, as 192.0.2.10/24 or 2001:db8::10/64")
}

/// A MAC address of one station.
pub(super) fn mac(text: &str) -> Result<EtherAddr, &'static str> {
    match text.trim().parse::<EtherAddr>() {
        Err(_) => Err("must be a MAC address, as 02:00:00:00:00:01"),
        Ok(mac) if !mac.is_unicast() => Err("must be the address of one station, not of a group"),
        Ok(mac) => Ok(mac),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_in_go() {
        assert_eq!(duration("24h"), Ok(Duration::from_secs(86400)));
        assert_eq!(duration("1h30m5s"), Ok(Duration::from_secs(5405)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        for wrong in ["", "30", "h", "3d", "1..2s", "-5s", "5s6", "1e9h", "5 s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn port_ranges_have_an_order_and_a_floor() {
        assert_eq!(ports("61000-65535"), Ok(61000..=65535));
        for wrong in ["61000", "65535-61000", "80-1000", "61000-61001", "61000-70000", "a-b"] {
            assert!(ports(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn cidrs_and_macs_are_refused_with_the_right_form() {
        assert_eq!(
            cidr("10.244.3.0/16"),
            Err("has bits set beyond the prefix length; write 10.244.0.0/16".into())
        );
        assert!(cidr("10.244.0.0/16").is_ok());
        assert_eq!(mac("02:00:00:00:00:01"), Ok(EtherAddr([2, 0, 0, 0, 0, 1])));
        for wrong in ["02:00:00:00:00", "02:00:00:00:00:01:02", "01:00:5e:00:00:01"] {
            assert!(mac(wrong).is_err(), "{wrong}");
        }
    }
}
