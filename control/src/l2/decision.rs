//! What was decided for a Service, and why, in words for people: `penstock why`, conditions and events say it.

use super::nodes::Excluded;
use crate::objects::ObjectKey;
use std::{fmt, net::IpAddr, sync::Arc};

/// Who announces the addresses of a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The node that announces them; `None`: nobody.
    pub owner: Option<Arc<str>>,
    /// Why that one, or why nobody.
    pub why: Reason,
    /// The addresses of its status.
    pub addresses: Vec<IpAddr>,
    /// The pool they are of.
    pub pool: Option<Arc<str>>,
}

/// Names, for messages.
pub type Names = Arc<[Arc<str>]>;

/// Why a node announces, or nobody does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// It has no address yet.
    NoAddress,
    /// Its addresses are not all of one pool.
    NoPool,
    /// No advertisement is for the pool.
    NotAdvertised {
        /// The pool.
        pool: Arc<str>,
    },
    /// Those that are for the pool are for other Services.
    NotSelected {
        /// The pool.
        pool: Arc<str>,
        /// The advertisements.
        advertisements: Names,
    },
    /// It may share its address, and an advertisement tells Services apart, which an address cannot.
    Ambiguous {
        /// The advertisement.
        advertisement: Arc<str>,
    },
    /// It has no usable endpoint.
    NoEndpoint,
    /// No gateway is alive.
    NoGateway,
    /// The advertisements allow none of the gateways that are alive.
    NotAllowed {
        /// The advertisements.
        advertisements: Names,
        /// The gateways.
        gateways: Names,
    },
    /// Those that they allow are excluded.
    Excluded {
        /// The gateways, each with the reason.
        nodes: Arc<[(Arc<str>, Excluded)]>,
    },
    /// Only nodes with an endpoint may announce it, and no candidate has one.
    NoLocalEndpoint {
        /// The candidates.
        candidates: Names,
    },
    /// There was one candidate.
    Only,
    /// It was preferred most.
    Preferred {
        /// The sum of the weights.
        score: u32,
        /// All candidates.
        candidates: Names,
    },
    /// Of those preferred most, its hash came first.
    Hash {
        /// All candidates.
        candidates: Names,
    },
    /// It shares the address with another Service, whose announcer it is.
    Shared {
        /// The address.
        address: IpAddr,
        /// The other Service.
        with: ObjectKey,
    },
}

impl Reason {
    /// A word for it, as conditions want one.
    pub fn word(&self) -> &'static str {
        match self {
            Self::NoAddress => "NoAddress",
            Self::NoPool => "NoPool",
            Self::NotAdvertised { .. } => "NotAdvertised",
            Self::NotSelected { .. } => "NotSelected",
            Self::Ambiguous { .. } => "Ambiguous",
            Self::NoEndpoint => "NoUsableEndpoint",
            Self::NoGateway => "NoGateway",
            Self::NotAllowed { .. } => "NodesNotAllowed",
            Self::Excluded { .. } => "NodesExcluded",
            Self::NoLocalEndpoint { .. } => "NoLocalEndpoint",
            Self::Only | Self::Preferred { .. } | Self::Hash { .. } => "Elected",
            Self::Shared { .. } => "SharedAddress",
        }
    }
}

/// `{:#}` names the candidates of an election, too. That is not for conditions of Services: a gateway that comes or goes
/// would have all of them written anew.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAddress => f.write_str("it has no address yet"),
            Self::NoPool => {
                f.write_str("its addresses are not in one IPAddressPool; check the pools' spec.addresses")
            }
            Self::NotAdvertised { pool } => write!(
                f,
                "no L2Advertisement covers pool {pool}; make one with the pool in spec.ipAddressPools"
            ),
            Self::NotSelected { pool, advertisements } => write!(
                f,
                "the serviceSelectors of L2Advertisement {}, which covers pool {pool}, do not select it",
                listed(advertisements)
            ),
            Self::Ambiguous { advertisement } => write!(
                f,
                "it has the annotation metallb.io/allow-shared-ip, and L2Advertisement {advertisement} has \
                 serviceSelectors, so it would be ambiguous who announces the address; remove one of them"
            ),
            Self::NoEndpoint => f.write_str("no endpoint is ready or serving"),
            Self::NoGateway => f.write_str("no gateway is alive"),
            Self::NotAllowed { advertisements, gateways } => write!(
                f,
                "no live gateway is allowed by the nodeSelectors of L2Advertisement {}; alive: {}",
                listed(advertisements),
                listed(gateways)
            ),
            Self::Excluded { nodes } => {
                f.write_str("every gateway that may announce it is excluded: ")?;
                for (index, (node, excluded)) in nodes.iter().enumerate() {
                    let comma = if index > 0 { "; " } else { "" };
                    write!(f, "{comma}{node}, because {excluded}")?;
                }
                Ok(())
            }
            Self::NoLocalEndpoint { candidates } => write!(
                f,
                "externalTrafficPolicy is Local, and none of the gateways {} has a usable endpoint",
                listed(candidates)
            ),
            Self::Only if f.alternate() => f.write_str("the only candidate"),
            Self::Preferred { score, candidates } if f.alternate() => {
                write!(f, "won by preference {score} among {}", listed(candidates))
            }
            Self::Hash { candidates } if f.alternate() => {
                write!(f, "won by hash among {}", listed(candidates))
            }
            Self::Only | Self::Preferred { .. } | Self::Hash { .. } => f.write_str("elected"),
            Self::Shared { address, with } => {
                write!(f, "shares {address} with {with}, whose announcer counts for both")
            }
        }
    }
}

fn listed(names: &[Arc<str>]) -> String {
    names.join(", ")
}
