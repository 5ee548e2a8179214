//! The configuration as the rest of the program sees it: checked, and without holes.

use ipnet::IpNet;
use penstock_dataplane::{
    path::{EchoPolicy, TcpReject},
    state::Timeouts,
    wire::EtherAddr,
    worker::Idle,
};
use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    num::NonZeroU8,
    ops::RangeInclusive,
    path::PathBuf,
    time::Duration,
};

/// Everything `penstock run` is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// This node's name in Kubernetes: what endpoints' `nodeName` is compared with. Empty: nothing is local.
    pub node_name: String,
    /// Where the objects come from.
    pub source: Source,
    /// How addresses of LoadBalancer Services are announced.
    pub announce: Announce,
    /// The interfaces; the index in this list is the port number of the dataplane.
    pub interfaces: Vec<Interface>,
    /// The packet threads.
    pub workers: Workers,
    /// What masqueraded flows come from.
    pub snat: Snat,
    /// The rings of each socket.
    pub ring: Ring,
    /// The frame memory of each worker.
    pub umem: Umem,
    /// How many entries the tables hold.
    pub tables: TableSizes,
    /// Whether the classifier forwards established flows by itself.
    pub fast_lane: FastLane,
    /// Whether classifier and fast lane stay when the process ends.
    pub persist: bool,
    /// Where they are pinned then.
    pub pin_path: PathBuf,
    /// When silent flows are forgotten.
    pub timeouts: Timeouts,
    /// Masquerade all cluster-IP traffic. By default so unless there is a local detector.
    pub masquerade_all: bool,
    /// The local detector: sources in here are pods. At most one of each family.
    pub cluster_cidr: Vec<IpNet>,
    /// Where NodePorts answer.
    pub node_port_addresses: NodePortAddresses,
    /// How what nobody serves is refused.
    pub reject: Reject,
    /// What is done with echo requests to VIPs.
    pub echo: EchoPolicy,
    /// Whether `spec.externalIPs` of Services are served.
    pub allow_external_ips: bool,
    /// Where Services have their cluster IPs: what is sent to an address in here that none has is dropped.
    pub service_cidrs: Vec<IpNet>,
    /// How often changes of objects are followed, and when one that failed is tried again.
    pub sync: Sync,
    /// Where `/metrics` and `/proxyMode` are; `None`: nowhere.
    pub metrics_bind_address: Option<SocketAddr>,
    /// Where `/healthz` and `/livez` are; `None`: nowhere.
    pub healthz_bind_address: Option<SocketAddr>,
    /// The unix socket for `penstock show` and `explain`.
    pub socket: PathBuf,
    /// What netlink would tell, for replays.
    pub replay: Replay,
    /// The log.
    pub logging: Logging,
}

impl Config {
    /// The cluster that the objects come from, if it is one.
    pub fn cluster(&self) -> Option<&Kubernetes> {
        match &self.source {
            Source::Kubernetes(cluster) => Some(cluster),
            Source::Manifests(_) => None,
        }
    }
}

/// Where the objects come from: `manifests` or `kubernetes`, not both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A folder.
    Manifests(Manifests),
    /// An API server.
    Kubernetes(Kubernetes),
}

/// An API server, and what of it is ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kubernetes {
    /// How it is reached; `None`: as the service account of the pod that this runs in.
    pub kubeconfig: Option<PathBuf>,
    /// The namespace that the gateways' Leases are in.
    pub namespace: String,
    /// The namespace that pools and advertisements are read from.
    pub pool_namespace: String,
    /// The LoadBalancer Services that get their addresses from here, and are announced.
    pub ours: Ours,
}

/// Which LoadBalancer Services are ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ours {
    /// Those of this class.
    pub class: String,
    /// Those without a class, too.
    pub classless: bool,
}

impl Ours {
    /// Whether those of this class, or of none, are.
    pub fn takes(&self, class: Option<&str>) -> bool {
        class.map_or(self.classless, |class| class == self.class)
    }
}

/// How addresses of LoadBalancer Services are announced, by ARP and neighbour discovery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announce {
    /// Whether they are at all.
    pub enabled: bool,
    /// A gateway that has not renewed its Lease for so long is dead, and others take over.
    pub lease_duration: Duration,
    /// How often it is renewed.
    pub renew_interval: Duration,
    /// How often addresses are announced unasked, beside the burst after each change; `None`: not at all.
    pub gratuitous_interval: Option<Duration>,
    /// How long flows that another gateway began are sent on to it after an address has moved here.
    pub relay: Duration,
    /// How long a gateway that is told to stop goes on with its flows after it has handed over its addresses.
    pub drain: Duration,
}

/// A folder of Kubernetes YAML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifests {
    /// The folder.
    pub path: PathBuf,
}

/// One interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its name in the kernel.
    pub name: String,
    /// Who is behind it.
    pub roles: Roles,
    /// The receive queues that are ours.
    pub queues: Queues,
    /// Where the classifier runs.
    pub mode: XdpMode,
    /// Whether frames are shared with the driver.
    pub zero_copy: ZeroCopy,
    /// Its addresses, where netlink does not tell.
    pub addresses: Vec<IpNet>,
    /// The VLAN its traffic is tagged with, where netlink does not tell.
    pub vlan: Option<u16>,
}

/// Who is behind an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Roles {
    /// Clients.
    pub client: bool,
    /// Backends.
    pub backend: bool,
}

/// Receive queues of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queues {
    /// Every queue there is.
    All,
    /// Some of them.
    Range {
        /// The first.
        first: u32,
        /// How many.
        count: u32,
    },
}

/// Where the XDP classifier runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum XdpMode {
    /// In the driver, or in the stack if the driver cannot.
    Auto,
    /// In the driver only.
    Native,
    /// In the stack only.
    Generic,
}

/// Whether frames are shared with the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ZeroCopy {
    /// Where the driver can.
    Auto,
    /// Always; the appliance does not start without.
    On,
    /// Never.
    Off,
}

/// The packet threads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workers {
    /// How many.
    pub count: usize,
    /// The core of each; empty: not pinned.
    pub cores: Vec<usize>,
    /// What they do when there is nothing to do; `None`: what suits the cores.
    pub idle: Option<Idle>,
}

impl Workers {
    /// What they do when there is nothing to do. On cores that nobody else runs on they need not sleep.
    pub fn idle(&self, isolated: &BTreeSet<usize>) -> Idle {
        let alone = !self.cores.is_empty() && self.cores.iter().all(|core| isolated.contains(core));
        self.idle.unwrap_or(if alone { Idle::Busy } else { Idle::Adaptive })
    }
}

/// What masqueraded flows come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snat {
    /// The ports.
    pub ports: RangeInclusive<u16>,
    /// The addresses; empty: the egress interface's own.
    pub addresses: Vec<IpAddr>,
}

/// The rings of each socket, in descriptors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ring {
    /// Receive and fill.
    pub rx: u32,
    /// Transmit and completion.
    pub tx: u32,
}

/// The frame memory of each worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Umem {
    /// How many frames.
    pub frames: u32,
    /// Bytes of each.
    pub frame_size: u32,
    /// Whether to ask for huge pages.
    pub huge_pages: bool,
}

/// How many entries the tables hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableSizes {
    /// IPv4 flows of each worker.
    pub ipv4_flows: usize,
    /// IPv6 flows of each worker.
    pub ipv6_flows: usize,
    /// Affinity records, shared by all workers.
    pub affinity: usize,
}

/// The fast lane: established flows that the classifier rewrites and redirects by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FastLane {
    /// Whether there is one.
    pub mode: FastLaneMode,
    /// Packets of a direction of a flow before it is promoted.
    pub promote_after: NonZeroU8,
    /// Promoted IPv4 flows that each worker has room for, beside a quarter as many IPv6 flows.
    pub flows: u32,
}

impl FastLane {
    /// What a promoted IPv4 flow takes at most, both directions with their entries of the index.
    const BYTES_V4: u64 = 160;
    /// The same of IPv6, whose slots take two lines.
    const BYTES_V6: u64 = 288;

    /// Promoted IPv6 flows that each worker has room for: a share of the IPv4 flows as in the tables.
    pub fn v6_flows(&self) -> u32 {
        self.flows / 4
    }

    /// The memory that it takes, of all workers.
    pub fn bytes(&self, workers: usize) -> u64 {
        let a_worker = u64::from(self.flows) * Self::BYTES_V4 + u64::from(self.v6_flows()) * Self::BYTES_V6;
        a_worker * workers as u64
    }
}

/// Whether there is a fast lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FastLaneMode {
    /// Where sockets have no zero-copy.
    Auto,
    /// Wherever an interface takes redirected packets.
    On,
    /// Never.
    Off,
}

/// Where NodePorts answer (§3.8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodePortAddresses {
    /// On the node's addresses inside these CIDRs; a family without a CIDR is unrestricted.
    Cidrs(Vec<IpNet>),
    /// On the addresses in the Node object's status only.
    Primary,
}

/// When changes of objects are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sync {
    /// From the end of one to the start of the next: what comes in between becomes one.
    pub min_period: Duration,
    /// Until one that failed is tried again. Twice this long, a change may wait before the appliance is unhealthy.
    pub period: Duration,
}

impl Default for Sync {
    /// A change is live at once (kube-proxy waits a second between two), a failed one is tried again as by kube-proxy.
    fn default() -> Self {
        Self { min_period: Duration::from_millis(2), period: Duration::from_secs(30) }
    }
}

/// How what nobody serves is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reject {
    /// By what a TCP connection is.
    pub tcp: TcpReject,
    /// Refusals, and other errors, that a worker may send per second. A twentieth of it may be sent at once.
    pub per_second: u32,
}

/// What netlink would tell, for replays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Replay {
    /// Ways to backends; the longest prefix wins, and what matches none is synthesised.
    pub next_hops: Vec<ReplayNextHop>,
}

/// The way to the backends of one prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayNextHop {
    /// The prefix.
    pub destination: IpNet,
    /// The index of the interface.
    pub interface: usize,
    /// The neighbour's MAC; `None`: synthesised.
    pub mac: Option<EtherAddr>,
    /// What masqueraded flows come from; `None`: the interface's first address of the family.
    pub source: Option<IpAddr>,
    /// The largest packet that fits.
    pub mtu: u16,
}

/// The log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logging {
    /// For people or for machines.
    pub format: LogFormat,
    /// A level, or a filter as `info,penstock::compile=debug`.
    pub level: String,
}

/// How a log line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}
