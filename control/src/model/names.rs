//! The words and numbers of the API: labels, subdomains, qualified names, IANA service names, protocols, ports.

use penstock_dataplane::table::Transport;

/// What is wrong with a port's name.
pub(super) const NO_DNS_LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters \
    or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for \
    validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";

/// What is wrong with a number that is no port.
pub(super) const NO_PORT: &str = "must be between 1 and 65535, inclusive";

/// The protocol with this name.
pub(crate) fn transport(name: &str) -> Option<Transport> {
    match name {
        "TCP" => Some(Transport::Tcp),
        "UDP" => Some(Transport::Udp),
        "SCTP" => Some(Transport::Sctp),
        _ => None,
    }
}

/// A DNS-1123 label.
pub(super) fn is_dns_label(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=63).contains(&name.len())
        && name.chars().all(legal)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// A DNS-1123 subdomain.
pub(super) fn is_dns_subdomain(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(is_dns_label)
}

/// `name` or `prefix/name`.
pub(super) fn is_qualified_name(name: &str) -> bool {
    let (prefix, name) = name.split_once('/').map_or((None, name), |(prefix, name)| (Some(prefix), name));
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    prefix.is_none_or(is_dns_subdomain)
        && name.len() <= 63
        && name.chars().all(legal)
        && ends(name.chars().next())
        && ends(name.chars().last())
}

/// What is wrong with an IANA service name.
pub(super) fn iana_service_name(name: &str) -> Option<&'static str> {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    match () {
        () if name.len() > 15 => Some("must be no more than 15 characters"),
        () if !name.chars().all(legal) => {
            Some("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
        }
        () if !name.chars().any(|c| c.is_ascii_lowercase()) => Some("must contain at least one letter (a-z)"),
        () if name.contains("--") => Some("must not contain consecutive hyphens"),
        () if name.starts_with('-') || name.ends_with('-') => Some("must not begin or end with a hyphen"),
        () => None,
    }
}
