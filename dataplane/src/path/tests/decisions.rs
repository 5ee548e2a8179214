//! Which endpoint list, which source address, and who is refused: §3.5 to §3.7 as conversations.

use super::super::{Decision, DropReason, Masquerade, ReplyKind, world::*};
use crate::{
    state::Tuple,
    table::{Endpoints, Locality, Prefix, TrafficPolicy, Transport, VipKind},
    wire::SctpChunk,
};
use std::{collections::HashSet, num::NonZeroU32, sync::Arc};

both_families! {
    every_kind_of_address_is_served,
    masquerade_rows,
    hairpin_is_always_masqueraded,
    local_policies_use_the_local_list,
    without_a_detector_pods_are_outside,
    the_policies_do_not_affect_each_other,
    local_sources_take_the_short_cut,
    no_local_endpoint_is_silent,
    no_endpoint_is_told,
    source_ranges_cover_load_balancer_ips_only,
    a_load_balancer_ip_may_be_a_source,
    source_ranges_are_asked_for_new_flows_only,
    an_external_ip_that_is_a_node_address_leaves_node_ports_alone,
    affinity_keeps_a_client_on_one_backend,
    flows_spread_over_the_backends,
    an_unallocated_service_address_is_silent,
    flows_survive_their_service,
    flows_survive_their_backend,
}

fn destinations<F: Net>() -> [(VipKind, F::Addr, u16); 4] {
    [
        (VipKind::ClusterIp, F::addr(Network::Vips, CLUSTER_IP), SERVICE_PORT),
        (VipKind::LoadBalancerIp, F::addr(Network::Vips, LB_IP), SERVICE_PORT),
        (VipKind::ExternalIp, F::addr(Network::Vips, EXTERNAL_IP), SERVICE_PORT),
        (VipKind::NodePort, F::addr(Network::Node, NODE), NODE_PORT),
    ]
}

fn external<F: Net>() -> impl Iterator<Item = (F::Addr, u16)> {
    destinations::<F>().into_iter().skip(1).map(|(_, addr, port)| (addr, port))
}

/// Sources of the three classes of §3.5.
fn sources<F: Net>() -> [(&'static str, F::Addr); 3] {
    [
        ("pod", F::addr(Network::Pods, 9)),
        ("host", F::addr(Network::Node, NODE)),
        ("outside", F::addr(Network::Clients, 9)),
    ]
}

fn every_kind_of_address_is_served<F: Net>() {
    for (_, vip, port) in destinations::<F>() {
        let mut world = World::<F>::new();
        world.client(0).to(vip, port).connect();
        world.client(0).to(vip, port).datagram().expect_at_backend().reply(NO_FLAGS).expect_at_client();
    }
}

// S-121, S-122, S-123, S-124
fn masquerade_rows<F: Net>() {
    use Masquerade::*;
    use TrafficPolicy::{Cluster, Local};
    // By source (pod, host, outside), and the setting.
    let rows: [(VipKind, TrafficPolicy, bool, bool, [Masquerade; 3]); 6] = [
        (VipKind::ClusterIp, Cluster, true, false, [NoPodToClusterIp, YesNotLocal, YesNotLocal]),
        (VipKind::ClusterIp, Cluster, true, true, [YesAll; 3]),
        (VipKind::ClusterIp, Cluster, false, true, [YesAll; 3]),
        (VipKind::ClusterIp, Cluster, false, false, [NoDetector; 3]),
        (VipKind::LoadBalancerIp, Cluster, true, false, [YesExternalCluster; 3]),
        (VipKind::LoadBalancerIp, Local, true, false, [NoExternalLocal, YesHost, NoExternalLocal]),
    ];
    for (kind, policy, detector, all, expected) in rows {
        let mut world = World::<F>::new();
        world.service(|service| service.external_policy = policy);
        world.tables(|tables| {
            let locality = Arc::make_mut(&mut tables.locality);
            locality.masquerade_all = all;
            if !detector {
                locality.pods = None;
            }
        });
        let kinds: Vec<_> = destinations::<F>()
            .into_iter()
            .filter(|(other, ..)| (kind == VipKind::ClusterIp) == (*other == VipKind::ClusterIp))
            .collect();
        for (from, (kind, vip, port)) in (5000..).zip(kinds) {
            for ((class, source), expected) in sources::<F>().into_iter().zip(expected) {
                let talk = world.client(0).from(source, from).to(vip, port).syn().expect_at_backend();
                println!("{kind:?} {policy:?} detector {detector} all {all} from {class}: {expected:?}");
                let talk = match expected.is_on() {
                    true => talk.expect_masqueraded(),
                    false => talk.expect_client_kept(),
                };
                talk.reply(SYN_ACK).expect_at_client();
                let tuple = Tuple {
                    source,
                    destination: vip,
                    source_port: from,
                    destination_port: port,
                    transport: Transport::Tcp,
                };
                match world.decide(&tuple) {
                    Decision::Serve(choice) => assert_eq!(choice.masquerade, expected),
                    other => panic!("{other:?}"),
                }
            }
        }
    }
}

// S-125
fn hairpin_is_always_masqueraded<F: Net>() {
    for policy in [TrafficPolicy::Cluster, TrafficPolicy::Local] {
        for (kind, vip, port) in destinations::<F>() {
            let mut world = World::<F>::new();
            world.service(|service| service.external_policy = policy);
            world.tables(|tables| Arc::make_mut(&mut tables.locality).pods = None);
            world.set_backends(&[1]);
            let own = backend_addr::<F>(1);
            println!("{kind:?} {policy:?}");
            let link = backend_link(1);
            world
                .client(0)
                .from(own, 5000)
                .over(link)
                .to(vip, port)
                .syn()
                .expect_at(1)
                .expect_masqueraded()
                .reply(SYN_ACK)
                .expect_at_client();
            world
                .client(0)
                .from(own, 5000)
                .over(link)
                .to(vip, port)
                .datagram()
                .expect_at(1)
                .expect_masqueraded();
        }
    }
}

// S-99, S-101
fn local_policies_use_the_local_list<F: Net>() {
    let mut world = World::<F>::new();
    world.set_backends(&[0, 1]);
    world.set_local_backends(&[2]);
    world.service(|service| {
        service.internal_policy = TrafficPolicy::Local;
        service.external_policy = TrafficPolicy::Local;
    });
    for (_, source) in sources::<F>() {
        world.client(0).from(source, 7).vip(CLUSTER_IP).syn().expect_at(2);
    }
    let outside = F::addr(Network::Clients, 9);
    for (from, (addr, port)) in (100..).zip(external::<F>()) {
        world.client(0).from(outside, from).to(addr, port).syn().expect_at(2).expect_client_kept();
    }
}

// S-208
fn without_a_detector_pods_are_outside<F: Net>() {
    let mut world = World::<F>::new();
    world.set_backends(&[0, 1]);
    world.set_local_backends(&[2]);
    world.service(|service| service.external_policy = TrafficPolicy::Local);
    world.tables(|tables| Arc::make_mut(&mut tables.locality).pods = None);
    for (from, (addr, port)) in (100..).zip(external::<F>()) {
        let pod = F::addr(Network::Pods, 9);
        world.client(0).from(pod, from).to(addr, port).syn().expect_at(2).expect_client_kept();
        let host = F::addr(Network::Node, NODE);
        let talk = world.client(0).from(host, 7).to(addr, port).syn().expect_at_backend();
        assert_ne!(talk.who.backend, 2, "a host source takes the short cut all the same");
    }
}

// S-105
fn the_policies_do_not_affect_each_other<F: Net>() {
    for internal_local in [true, false] {
        let mut world = World::<F>::new();
        world.set_backends(&[0]);
        world.set_local_backends(&[1]);
        world.service(|service| {
            let (local, cluster) = (TrafficPolicy::Local, TrafficPolicy::Cluster);
            (service.internal_policy, service.external_policy) =
                if internal_local { (local, cluster) } else { (cluster, local) };
        });
        world.client(0).vip(CLUSTER_IP).syn().expect_at(usize::from(internal_local));
        world.client(0).vip(LB_IP).syn().expect_at(usize::from(!internal_local));
    }
}

// S-103, S-104
fn local_sources_take_the_short_cut<F: Net>() {
    let mut world = World::<F>::new();
    world.set_backends(&[0]);
    world.service(|service| {
        service.external_policy = TrafficPolicy::Local;
        service.local = Endpoints::Drop;
    });
    for (from, (addr, port)) in (100..).zip(external::<F>()) {
        let pod = F::addr(Network::Pods, 9);
        world.client(0).from(pod, from).to(addr, port).syn().expect_at(0).expect_client_kept();
        let host = F::addr(Network::Node, NODE);
        world.client(0).from(host, 7).to(addr, port).syn().expect_at(0).expect_masqueraded();
    }
}

// S-100, S-102
fn no_local_endpoint_is_silent<F: Net>() {
    let mut world = World::<F>::new();
    world.service(|service| {
        service.internal_policy = TrafficPolicy::Local;
        service.external_policy = TrafficPolicy::Local;
        service.local = Endpoints::Drop;
    });
    for (_, addr, port) in destinations::<F>() {
        let talk = world.client(0).to(addr, port).syn().expect_drop(DropReason::NoLocalEndpoint);
        talk.moved("no_local_endpoint received").expect_no_flow();
        world.client(0).to(addr, port).datagram().expect_drop(DropReason::NoLocalEndpoint);
    }
}

// S-106, S-107, S-110
fn no_endpoint_is_told<F: Net>() {
    let mut world = World::<F>::new();
    world.set_backends(&[]);
    for (_, addr, port) in destinations::<F>() {
        world.client(0).to(addr, port).syn().expect_reset().moved("received tcp_reset").expect_no_flow();
        let udp = world.client(0).to(addr, port).datagram();
        udp.expect_icmp(ReplyKind::PortUnreachable, IcmpErrorKind::PortUnreachable)
            .moved("port_unreachable received")
            .expect_no_flow();
    }
    world.set_backends(&[2]);
    world.client(0).datagram().expect_at(2);
}

// S-113 to S-117
fn source_ranges_cover_load_balancer_ips_only<F: Net>() {
    let mut world = World::<F>::new();
    let allowed = F::addr(Network::Clients, 0x300);
    world.service(|service| {
        service.source_ranges = Some(Arc::new(vec![
            Prefix::new(F::addr(Network::Routers, 0), F::PREFIX_LEN),
            Prefix::new(allowed, (F::ADDR_LEN * 8 - 8) as u8),
        ]));
    });
    for (kind, addr, port) in destinations::<F>() {
        world.client(0).from(F::addr(Network::Clients, 0x3ff), 7).to(addr, port).syn().expect_at_backend();
        for (_, source) in sources::<F>() {
            let talk = world.client(0).from(source, 7).to(addr, port).syn();
            match kind {
                VipKind::LoadBalancerIp => drop(talk.expect_drop(DropReason::SourceRange)),
                _ => drop(talk.expect_at_backend()),
            }
        }
    }
    world.set_backends(&[]);
    world.client(0).syn().expect_drop(DropReason::SourceRange).moved("received source_range");
    world.service(|service| service.source_ranges = Some(Arc::default()));
    world.client(0).from(allowed, 7).syn().expect_drop(DropReason::SourceRange);
}

/// A process of the node that talks to the load balancer's IP may have that IP as its source; the compiler puts it among
/// the ranges, and here it is a source like any other.
// S-120
fn a_load_balancer_ip_may_be_a_source<F: Net>() {
    let mut world = World::<F>::new();
    let own = F::addr(Network::Vips, LB_IP);
    let host = (F::ADDR_LEN * 8) as u8;
    world.service(|service| service.source_ranges = Some(Arc::new(vec![Prefix::new(own, host)])));
    world.client(0).from(own, 5000).syn().expect_at_backend().reply(SYN_ACK).expect_at_client();
    world.client(0).syn().expect_drop(DropReason::SourceRange);
    let external = F::addr(Network::Vips, EXTERNAL_IP);
    world.client(0).from(external, 5000).syn().expect_drop(DropReason::SourceRange);
}

// S-118
fn source_ranges_are_asked_for_new_flows_only<F: Net>() {
    let mut world = World::<F>::new();
    let who = world.client(0).connect().who();
    world.service(|service| service.source_ranges = Some(Arc::default()));
    world.resume(&who).send(ACK).expect_at_backend().reply(ACK).expect_at_client();
}

/// §3.2, §3.8: exact tuples first, then NodePorts on node addresses; only then is the port unserved.
fn an_external_ip_that_is_a_node_address_leaves_node_ports_alone<F: Net>() {
    let mut world = World::<F>::new();
    let node = F::addr(Network::Node, NODE);
    world.tables(|tables| {
        let vips = Arc::make_mut(&mut tables.vips);
        let external = F::addr(Network::Vips, EXTERNAL_IP);
        let target = vips.tuples.get(external, Transport::Tcp, SERVICE_PORT).unwrap();
        vips.tuples.insert(node, Transport::Tcp, SERVICE_PORT, target);
        vips.addresses.insert(node, VipKind::ExternalIp);
    });
    world.client(0).to(node, SERVICE_PORT).syn().expect_at_backend();
    world.client(0).node_port().syn().expect_at_backend();
    world.client(0).to(node, 81).syn().expect_reset();
    // A VIP that is no node address has no NodePorts.
    world.client(0).to(F::addr(Network::Vips, EXTERNAL_IP), NODE_PORT).syn().expect_reset();
}

fn affinity_keeps_a_client_on_one_backend<F: Net>() {
    let mut world = World::<F>::new();
    world.service(|service| service.affinity = NonZeroU32::new(10_800));
    let mut used = HashSet::new();
    for client in 0..20 {
        let home = world.client(client).syn().expect_at_backend().who.backend;
        used.insert(home);
        for port in 1..20 {
            world.client(client).source_port(port).syn().expect_at(home);
            world.client(client).source_port(port).vip(CLUSTER_IP).syn().expect_at(home);
        }
    }
    assert_eq!(used.len(), 3, "clients spread");
}

// S-97
fn flows_spread_over_the_backends<F: Net>() {
    let mut world = World::<F>::new();
    let mut hits = [0u32; 3];
    for flow in 0..3000u32 {
        let talk = world.client(flow / 10).source_port(1024 + (flow % 10) as u16).syn().expect_at_backend();
        hits[talk.who.backend] += 1;
    }
    // Chi-square with two degrees of freedom; 13.8 is the 0.1 % point.
    let chi: f64 = hits.iter().map(|hits| (f64::from(*hits) - 1000.0).powi(2) / 1000.0).sum();
    assert!(chi < 13.8, "{hits:?}");
}

// S-141, S-142
fn flows_survive_their_service<F: Net>() {
    let mut world = World::<F>::new();
    let who = world.client(0).connect().who();
    world.tables(|tables| {
        tables.vips = Arc::default();
        tables.services = Default::default();
        tables.locality = Arc::new(Locality::default());
    });
    world.resume(&who).send(ACK).expect_at_backend().reply(ACK).expect_at_client();
    world.client(1).syn().expect_pass().moved("passed received");
}

// S-157
fn an_unallocated_service_address_is_silent<F: Net>() {
    let mut world = World::<F>::new();
    let cidr = Prefix::new(F::addr(Network::Vips, 0), F::PREFIX_LEN);
    let nobody = F::addr(Network::Vips, 99);
    world.client(0).to(nobody, 80).syn().expect_pass();
    world.tables(|tables| Arc::make_mut(&mut tables.locality).service_cidrs = vec![cidr]);
    let talk = world.client(0).to(nobody, 80).syn().expect_drop(DropReason::Unallocated);
    talk.moved("received unallocated").expect_no_flow();
    world.client(0).to(nobody, 80).datagram().expect_drop(DropReason::Unallocated);
    world.client(0).to(nobody, 80).sctp().chunk(SctpChunk::INIT).expect_drop(DropReason::Unallocated);
    // The others are as ever: a VIP, its other ports, and the rest of the world.
    let who = world.client(0).vip(CLUSTER_IP).connect().who();
    world.client(0).to(F::addr(Network::Vips, CLUSTER_IP), 81).syn().expect_reset();
    world.client(0).to(F::addr(Network::Routers, 9), 80).syn().expect_pass();
    // Connections survive that their VIP becomes one of nobody.
    world.tables(|tables| tables.vips = Arc::default());
    world.resume(&who).send(ACK).expect_at_backend().reply(ACK).expect_at_client();
    world.client(1).vip(CLUSTER_IP).syn().expect_drop(DropReason::Unallocated);
}

// S-98, S-140, S-148
fn flows_survive_their_backend<F: Net>() {
    let mut world = World::<F>::new();
    world.set_backends(&[0]);
    let tcp = world.client(0).connect().who();
    let udp = world.client(0).datagram().expect_at(0).who();
    for others in [&[1, 2][..], &[2], &[]] {
        world.set_backends(others);
        world.resume(&tcp).send(ACK).expect_at(0).reply(ACK).expect_at_client();
        world.resume(&udp).datagram().expect_at(0).reply(NO_FLAGS).expect_at_client();
    }
}
