//! The shape of the configuration file: what may be written, before anything is checked.
//!
//! Every field is optional, so that an empty section (`workers:`) is the same as none, and so that the parser can
//! take out a field of the wrong type, report it, and go on. Words and addresses are plain strings here; what they
//! may be is `validate`'s business, which knows the remedy.

use serde::Deserialize;
use std::marker::PhantomData;

/// A list whose items may be missing or have been taken out.
pub(super) type List<T> = Option<Vec<Option<T>>>;

macro_rules! section {
    ($(#[doc = $doc:literal])* $name:ident { $($(#[$attribute:meta])* $field:ident: $type:ty),* $(,)? }) => {
        $(#[doc = $doc])*
        #[derive(Debug, Default, Deserialize)]
        #[serde(rename_all = "camelCase", deny_unknown_fields, default, expecting = "a map of fields")]
        pub(super) struct $name { $($(#[$attribute])* pub(super) $field: Option<$type>,)* }
    };
}

section!(
    /// The whole file.
    Raw {
    node_name: String,
    manifests: Manifests,
    kubernetes: Kubernetes,
    announce: Announce,
    interfaces: Vec<Option<Interface>>,
    workers: Workers,
    snat: Snat,
    ring: Ring,
    umem: Umem,
    tables: Tables,
    fast_lane: WordOr<FastLane>,
    persist: bool,
    pin_path: String,
    timeouts: Timeouts,
    masquerade_all: bool,
    #[serde(rename = "clusterCIDR")]
    cluster_cidr: Vec<Option<String>>,
    node_port_addresses: WordOrList,
    reject: Reject,
    echo: Echo,
    #[serde(rename = "allowExternalIPs")]
    allow_external_ips: bool,
    #[serde(rename = "serviceCIDRs")]
    service_cidrs: Vec<Option<String>>,
    min_sync_period: String,
    sync_period: String,
    metrics_bind_address: String,
    healthz_bind_address: String,
    socket: String,
    replay: Replay,
    logging: Logging,
});

section!(Manifests { path: String });

section!(Kubernetes {
    kubeconfig: String,
    namespace: String,
    pool_namespace: String,
    load_balancer_class: String,
    classless: bool,
});

section!(Announce {
    enabled: bool,
    lease_duration: String,
    renew_interval: String,
    gratuitous_interval: String,
    relay: String,
    drain: String,
});

section!(Interface {
    name: String,
    roles: Vec<Option<String>>,
    queues: WordOr<QueueRange>,
    mode: String,
    zero_copy: String,
    addresses: Vec<Option<String>>,
    vlan: u64,
});

section!(QueueRange { first: u64, count: u64 });
section!(Workers { count: u64, cores: Vec<Option<u64>>, idle: String, });
section!(Snat { ports: String, addresses: Vec<Option<String>>, });
section!(Ring { rx: u64, tx: u64 });
section!(Umem { frames: u64, frame_size: u64, huge_pages: bool });
section!(Tables { ipv4_flows: u64, ipv6_flows: u64, affinity: u64 });
section!(FastLane { mode: String, promote_after: u64, flows: u64 });
section!(Timeouts { tcp: TcpTimeouts, udp: UdpTimeouts, sctp: SctpTimeouts });
section!(TcpTimeouts {
    syn_sent: String,
    syn_sent2: String,
    syn_recv: String,
    established: String,
    fin_wait: String,
    close_wait: String,
    last_ack: String,
    time_wait: String,
    close: String,
});
section!(UdpTimeouts { unreplied: String, stream: String });
section!(SctpTimeouts {
    opening: String,
    established: String,
    shutdown: String,
    closed: String,
    heartbeat: String,
});
section!(Reject { tcp: String, per_second: u64 });
section!(Echo {
    external: String,
    #[serde(rename = "clusterIP")]
    cluster_ip: String,
});
section!(Replay { next_hops: Vec<Option<NextHop>>, });
section!(NextHop { destination: String, interface: String, mac: String, source: String, mtu: u64 });
section!(Logging { format: String, level: String });

/// A word, or a map that says more.
#[derive(Debug)]
pub(super) enum WordOr<T> {
    Word(String),
    Map(T),
}

/// A map that a word may stand for.
pub(super) trait WithWord {
    /// Both forms, for whoever wrote neither.
    const FORMS: &'static str;
}

impl WithWord for QueueRange {
    const FORMS: &'static str = "\"all\" or {first: N, count: N}";
}

impl WithWord for FastLane {
    const FORMS: &'static str = "\"auto\", \"on\", \"off\" or {mode: auto, promoteAfter: N, flows: N}";
}

/// A word, or a list of words.
#[derive(Debug)]
pub(super) enum WordOrList {
    Word(String),
    List(Vec<Option<String>>),
}

// Written out, because an untagged enum would lose the path and the reason of a fault inside.
impl<'de, T: Deserialize<'de> + WithWord> Deserialize<'de> for WordOr<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de> + WithWord> serde::de::Visitor<'de> for Visitor<T> {
            type Value = WordOr<T>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(T::FORMS)
            }
            fn visit_str<E>(self, word: &str) -> Result<WordOr<T>, E> {
                Ok(WordOr::Word(word.to_owned()))
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<WordOr<T>, A::Error> {
                T::deserialize(serde::de::value::MapAccessDeserializer::new(map)).map(WordOr::Map)
            }
        }
        deserializer.deserialize_any(Visitor(PhantomData))
    }
}

impl<'de> Deserialize<'de> for WordOrList {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = WordOrList;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("\"primary\" or a list of CIDRs")
            }
            fn visit_str<E>(self, word: &str) -> Result<WordOrList, E> {
                Ok(WordOrList::Word(word.to_owned()))
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, seq: A) -> Result<WordOrList, A::Error> {
                Vec::deserialize(serde::de::value::SeqAccessDeserializer::new(seq)).map(WordOrList::List)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}
