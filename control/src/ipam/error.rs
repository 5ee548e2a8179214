//! What can be wrong with pools and requests, in MetalLB's words, which people search for.

use crate::objects::ObjectKey;
use penstock_dataplane::table::Transport;
use std::{fmt, net::IpAddr};

/// Why the pools are refused; all of them, so that the last good ones stay.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// A pool without addresses.
    #[error("parsing address pool {pool}: pool has no prefixes defined")]
    Empty {
        /// Its name.
        pool: String,
    },
    /// Neither a prefix nor a range.
    #[error("parsing address pool {pool}: invalid CIDR {text:?} in pool {pool:?}: {reason}")]
    Cidr {
        /// The pool.
        pool: String,
        /// What was written.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A range that none can be.
    #[error("parsing address pool {pool}: invalid IP range {text:?}: {reason}")]
    Range {
        /// The pool.
        pool: String,
        /// What was written.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Two places for one address.
    #[error("CIDR {cidr:?} in pool {pool:?} overlaps with already defined CIDR {other:?}")]
    Overlap {
        /// The pool.
        pool: String,
        /// Its prefix.
        cidr: String,
        /// The one defined before.
        other: String,
    },
    /// Two pools of one name, in two namespaces.
    #[error("duplicate definition of pool {pool:?}")]
    DuplicateName {
        /// The name.
        pool: String,
    },
    /// A namespace that is named twice.
    #[error("parsing address pool {pool}: duplicate definition in namespaces field: {namespace:?}")]
    DuplicateNamespace {
        /// The pool.
        pool: String,
        /// The namespace.
        namespace: String,
    },
    /// A selector that cannot be evaluated.
    #[error("parsing address pool {pool}: invalid label selector: {reason}")]
    Selector {
        /// The pool.
        pool: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl PoolError {
    /// The pool that is at fault; of two, the later one.
    pub fn pool(&self) -> &str {
        let (Self::Empty { pool }
        | Self::Cidr { pool, .. }
        | Self::Range { pool, .. }
        | Self::Overlap { pool, .. }
        | Self::DuplicateName { pool }
        | Self::DuplicateNamespace { pool, .. }
        | Self::Selector { pool, .. }) = self;
        pool
    }
}

/// Why it cannot be told what a Service asks for. Addresses that it has stay.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Both ways to ask for addresses.
    #[error("service can not have both metallb.io/loadBalancerIPs and svc.Spec.LoadBalancerIP")]
    Both,
    /// The annotation is no list of addresses.
    #[error("invalid metallb.io/loadBalancerIPs: {0:?}")]
    Annotation(String),
    /// The field is no address.
    #[error("invalid spec.loadBalancerIP {0:?}")]
    Field(String),
    /// More than one of a family.
    #[error(transparent)]
    Family(FamilyError),
}

/// Addresses that cannot be one Service's: at most one of each family.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FamilyError {
    /// Two of one family.
    #[error("IPFamilyForAddresses: same address family {0}")]
    Same(Listed),
    /// More than there are families.
    #[error("IPFamilyForAddresses: invalid ips length {count} {listed}", count = listed.0.len())]
    Length {
        /// The addresses.
        listed: Listed,
    },
}

impl FamilyError {
    /// What is wrong with these, if anything.
    pub fn of(addresses: &[IpAddr]) -> Option<Self> {
        let listed = || Listed(addresses.to_vec());
        match addresses {
            [_] => None,
            [first, second] if first.is_ipv4() != second.is_ipv4() => None,
            [_, _] => Some(Self::Same(listed())),
            _ => Some(Self::Length { listed: listed() }),
        }
    }
}

/// Why a Service has no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Pending {
    /// What it asks for cannot be read.
    #[error(transparent)]
    Request(RequestError),
    /// It requires both families, and has one cluster IP.
    #[error("not enough clusterips")]
    ClusterIps,
    /// The addresses asked for are not of its families.
    #[error("requested loadBalancer IP(s) {addresses} does not match the ipFamily of the service")]
    Families {
        /// The addresses.
        addresses: Listed,
    },
    /// The addresses asked for are not in one pool.
    #[error("{addresses} is not allowed in config")]
    Unknown {
        /// The addresses.
        addresses: Listed,
    },
    /// They are in another pool than the one asked for.
    #[error("requested loadBalancer IP(s) {addresses} is not compatible with requested address pool {pool}")]
    OtherPool {
        /// The addresses.
        addresses: Listed,
        /// The pool asked for.
        pool: String,
    },
    /// The pool does not admit the Service.
    #[error("pool {0} not compatible for ip assignment")]
    NotAdmitted(String),
    /// The pool asked for does not exist.
    #[error("unknown pool {0:?}")]
    UnknownPool(String),
    /// The pool asked for is used up.
    #[error("no available IPs in pool {0:?}")]
    PoolUsedUp(String),
    /// Every pool is.
    #[error("no available IPs")]
    UsedUp,
    /// There are no pools.
    #[error("no address pools are configured")]
    NoPools,
    /// Others hold the address and share it with nobody, or not with this Service.
    #[error("can't change sharing key for \"{service}\", address also in use by {others}")]
    Held {
        /// Who asks.
        service: ObjectKey,
        /// Who holds it.
        others: String,
    },
    /// Another Service has this port of the address.
    #[error("port {transport}/{port} is already in use on \"{address}\"")]
    Port {
        /// The protocol.
        transport: Transport,
        /// The port.
        port: u16,
        /// The address.
        address: IpAddr,
    },
}

/// Addresses as messages list them: `["192.0.2.1" "2001:db8::1"]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed(pub Vec<IpAddr>);

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted: Vec<_> = self.0.iter().map(|address| format!("\"{address}\"")).collect();
        write!(f, "[{}]", quoted.join(" "))
    }
}
