//! How traffic is treated: `snat`, `timeouts`, `clusterCIDR`, `serviceCIDRs`, `nodePortAddresses`, `reject`.

use super::{
    super::{
        raw::{self, List},
        scalar,
        settings::{NodePortAddresses, Reject, Snat},
    },
    check::{list, number, parsed, word},
};
use crate::fault::Faults;
use ipnet::IpNet;
use penstock_dataplane::{
    path::{Echo, EchoPolicy, TcpReject},
    state::Timeouts,
};
use std::{collections::BTreeSet, time::Duration};

pub(super) fn snat(raw: raw::Snat, faults: &mut Faults) -> Snat {
    let addresses = list("snat.addresses", raw.addresses, scalar::address, faults);
    let mut seen = BTreeSet::new();
    for (index, address) in addresses.iter().enumerate() {
        let path = format!("snat.addresses[{index}]");
        if address.is_unspecified() || address.is_loopback() || address.is_multicast() {
            faults.value(&path, address, "must be a unicast address that backends can answer to");
        }
        if !seen.insert(address) {
            faults.value(&path, address, "is in the list already");
        }
    }
    // An address of one's own has all its ports to give; the node's address shares them with the node.
    let default = if addresses.is_empty() { 61000..=65535 } else { 1024..=65535 };
    let ports = parsed("snat.ports", raw.ports, scalar::ports, faults).unwrap_or(default);
    Snat { ports, addresses }
}

pub(super) fn timeouts(raw: raw::Timeouts, faults: &mut Faults) -> Timeouts {
    let (tcp, udp) = (raw.tcp.unwrap_or_default(), raw.udp.unwrap_or_default());
    let sctp = raw.sctp.unwrap_or_default();
    let default = Timeouts::default();
    let mut timeout = |path: &str, given: Option<String>, default: Duration| {
        let shown = given.clone().unwrap_or_default();
        let timeout = parsed(path, given, scalar::duration, faults).unwrap_or(default);
        if timeout < Duration::from_secs(1) {
            faults.value(path, format!("{shown:?}"), "must be at least 1s");
        }
        if timeout > Timeouts::LONGEST {
            let hours = Timeouts::LONGEST.as_secs() / 3600;
            faults.value(path, format!("{shown:?}"), format!("must be at most {hours}h"));
        }
        timeout
    };
    let timeouts = Timeouts {
        tcp_syn_sent: timeout("timeouts.tcp.synSent", tcp.syn_sent, default.tcp_syn_sent),
        tcp_syn_sent2: timeout("timeouts.tcp.synSent2", tcp.syn_sent2, default.tcp_syn_sent2),
        tcp_syn_recv: timeout("timeouts.tcp.synRecv", tcp.syn_recv, default.tcp_syn_recv),
        tcp_established: timeout("timeouts.tcp.established", tcp.established, default.tcp_established),
        tcp_fin_wait: timeout("timeouts.tcp.finWait", tcp.fin_wait, default.tcp_fin_wait),
        tcp_close_wait: timeout("timeouts.tcp.closeWait", tcp.close_wait, default.tcp_close_wait),
        tcp_last_ack: timeout("timeouts.tcp.lastAck", tcp.last_ack, default.tcp_last_ack),
        tcp_time_wait: timeout("timeouts.tcp.timeWait", tcp.time_wait, default.tcp_time_wait),
        tcp_close: timeout("timeouts.tcp.close", tcp.close, default.tcp_close),
        udp: timeout("timeouts.udp.unreplied", udp.unreplied, default.udp),
        udp_stream: timeout("timeouts.udp.stream", udp.stream, default.udp_stream),
        sctp_opening: timeout("timeouts.sctp.opening", sctp.opening, default.sctp_opening),
        sctp_established: timeout("timeouts.sctp.established", sctp.established, default.sctp_established),
        sctp_shutdown: timeout("timeouts.sctp.shutdown", sctp.shutdown, default.sctp_shutdown),
        sctp_closed: timeout("timeouts.sctp.closed", sctp.closed, default.sctp_closed),
        sctp_heartbeat: timeout("timeouts.sctp.heartbeat", sctp.heartbeat, default.sctp_heartbeat),
    };
    if timeouts.udp_stream < timeouts.udp {
        faults.value(
            "timeouts.udp.stream",
            format!("{:?}", timeouts.udp_stream),
            format!("must not be below timeouts.udp.unreplied ({:?})", timeouts.udp),
        );
    }
    timeouts
}

pub(super) fn cluster_cidr(raw: List<String>, faults: &mut Faults) -> Vec<IpNet> {
    let cidrs = list("clusterCIDR", raw, scalar::cidr, faults);
    for (index, cidr) in cidrs.iter().enumerate() {
        if let Some(first) = cidrs[..index].iter().find(|other| is_ipv4(other) == is_ipv4(cidr)) {
            let remedy = format!(
                "is the second of its family; one CIDR must hold the pods' addresses ({first} is given)"
            );
            faults.value(format!("clusterCIDR[{index}]"), cidr, remedy);
        }
    }
    cidrs
}

/// What the classifier has room for.
const MOST_SERVICE_CIDRS: usize = 64;

pub(super) fn service_cidrs(raw: List<String>, faults: &mut Faults) -> Vec<IpNet> {
    const PATH: &str = "serviceCIDRs";
    let cidrs = list(PATH, raw, scalar::cidr, faults);
    for (index, cidr) in cidrs.iter().enumerate().filter(|(_, cidr)| cidr.prefix_len() == 0) {
        faults.value(
            format!("{PATH}[{index}]"),
            cidr,
            "would drop everything; write the cluster's Service CIDR",
        );
    }
    if cidrs.len() > MOST_SERVICE_CIDRS {
        faults.value(PATH, cidrs.len(), format!("must be at most {MOST_SERVICE_CIDRS}"));
    }
    cidrs
}

pub(super) fn node_port_addresses(raw: Option<raw::WordOrList>, faults: &mut Faults) -> NodePortAddresses {
    const PATH: &str = "nodePortAddresses";
    match raw {
        None => NodePortAddresses::Cidrs(Vec::new()),
        Some(raw::WordOrList::Word(word)) if word == "primary" => NodePortAddresses::Primary,
        Some(raw::WordOrList::Word(word)) => {
            faults.value(PATH, format!("{word:?}"), "must be primary, or a list of CIDRs as [192.0.2.0/24]");
            NodePortAddresses::Primary
        }
        // As kube-proxy's flag, the one word may also be written as a list.
        Some(raw::WordOrList::List(words)) if words.as_slice() == [Some("primary".to_owned())] => {
            NodePortAddresses::Primary
        }
        Some(raw::WordOrList::List(words)) => {
            NodePortAddresses::Cidrs(list(PATH, Some(words), scalar::cidr, faults))
        }
    }
}

pub(super) fn reject(raw: raw::Reject, faults: &mut Faults) -> Reject {
    const WORDS: [(&str, TcpReject); 2] = [("rst", TcpReject::Reset), ("icmp", TcpReject::Icmp)];
    let rates = 0..=1_000_000;
    Reject {
        tcp: word("reject.tcp", raw.tcp, &WORDS, TcpReject::Reset, faults),
        // Linux's `icmp_msgs_per_sec`; its burst, too, is a twentieth of that.
        per_second: number("reject.perSecond", raw.per_second, rates, 1000, "", faults) as u32,
    }
}

pub(super) fn echo(raw: raw::Echo, faults: &mut Faults) -> EchoPolicy {
    const WORDS: [(&str, Echo); 3] =
        [("answer", Echo::Answer), ("drop", Echo::Drop), ("reject", Echo::Reject)];
    EchoPolicy {
        external: word("echo.external", raw.external, &WORDS, Echo::Answer, faults),
        cluster_ip: word("echo.clusterIP", raw.cluster_ip, &WORDS, Echo::Drop, faults),
    }
}

fn is_ipv4(net: &IpNet) -> bool {
    matches!(net, IpNet::V4(_))
}
