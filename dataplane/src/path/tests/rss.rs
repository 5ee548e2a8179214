//! NICs that spread packets by a hash that is known: both directions of a masqueraded flow come to its owner at once.
//!
//! The NICs here hash by the definition of Toeplitz, bit by bit over the bytes of a frame, and know nothing of the tables
//! that the path looks things up in.

use super::super::{Verdict, world::*};
use crate::{
    io::PortId,
    table::{Destinations, Hashed, HashedFields, Rss, RssPorts, Snapshot, TrafficPolicy},
    wire::{SctpChunk, V4, V6},
};
use proptest::{collection::vec, prelude::*};
use std::{collections::HashSet, sync::Arc};

both_families! {
    masqueraded_flows_are_never_handed_over,
    flows_that_keep_the_client_still_meet,
    errors_and_fragments_find_their_flow,
    each_direction_gains_by_itself,
    when_no_port_comes_home_any_will_do,
    a_flow_stays_with_who_has_it,
}

const WORKERS: u16 = 4;

/// A NIC with a queue for each worker.
#[derive(Debug, Clone)]
struct Nic {
    key: Vec<u8>,
    /// The queue, and so the worker, by the low bits of the hash.
    table: Vec<u16>,
    ports: bool,
}

impl Nic {
    fn new(seed: u8, workers: u16) -> Self {
        let key = (0..40u32).map(|at| (at * 89 + u32::from(seed) * 57 + (at * at) % 251) as u8).collect();
        Self { key, table: (0..128).map(|entry| entry % workers).collect(), ports: true }
    }

    fn facts(&self) -> Rss {
        let hashed = if self.ports { Hashed::AddressesAndPorts } else { Hashed::Addresses };
        let workers = self.table.iter().copied().map(Some).collect();
        Rss::new(&self.key, workers, HashedFields::all(hashed)).unwrap()
    }

    fn queue(&self, frame: &[u8]) -> usize {
        let ip = &frame[14..];
        let (addresses, protocol, l4, is_fragment) = match frame[12] {
            0x08 => (&ip[12..20], ip[9], &ip[20..], ip[6] & 0x3f != 0 || ip[7] != 0),
            _ => (&ip[8..40], ip[6], &ip[40..], ip[6] == 44),
        };
        let with_ports = self.ports && !is_fragment && [6, 17, 132].contains(&protocol);
        let input = [addresses, if with_ports { &l4[..4] } else { &[] }].concat();
        let bit = |bytes: &[u8], at: usize| u32::from(bytes[at / 8] >> (7 - at % 8) & 1);
        let word = |at: usize| (at..at + 32).fold(0u32, |word, at| word << 1 | bit(&self.key, at));
        let set = (0..input.len() * 8).filter(|at| bit(&input, *at) == 1);
        let hash = set.fold(0, |hash, at| hash ^ word(at));
        usize::from(self.table[hash as usize % self.table.len()])
    }
}

/// Puts NICs on the ports of clients and backends; where told so, the workers know them.
fn plug<F: Net>(world: &mut World<F>, nics: [&Nic; 2], known: [bool; 2]) {
    tell(&mut world.snapshot, nics, known);
    let [clients, backends] = nics.map(Nic::clone);
    world.nic = Some(Box::new(move |port, frame| match port {
        CLIENT_PORT => clients.queue(frame),
        _ => backends.queue(frame),
    }));
}

fn tell(snapshot: &mut Snapshot, nics: [&Nic; 2], known: [bool; 2]) {
    let mut ports = vec![None; 3];
    for ((port, nic), known) in [CLIENT_PORT, BACKEND_PORT].into_iter().zip(nics).zip(known) {
        ports[usize::from(port.0)] = known.then(|| Arc::new(nic.facts()));
    }
    let ports = Arc::new(RssPorts::new(ports));
    (snapshot.v4.rss, snapshot.v6.rss) = (Arc::clone(&ports), ports);
}

fn handed_off<F: Net>(world: &World<F>) -> u64 {
    world.workers.iter().map(|path| path.counters().handed_off).sum()
}

/// A connection, one datagram and its answer, an association: whatever the client's port is hashed with.
fn converse<F: Net>(world: &mut World<F>, client: u32) {
    let port = 1024 + client as u16 * 7;
    let talk = world.client(client).source_port(port).connect();
    talk.expect_masqueraded().send(FIN_ACK).expect_at_backend();
    let talk = world.client(client).source_port(port).vip(EXTERNAL_IP).datagram();
    talk.expect_at_backend().reply(NO_FLAGS).expect_at_client();
    let talk = world.client(client).source_port(port).sctp().node_port().chunk(SctpChunk::INIT);
    talk.expect_at_backend().reply_chunk(SctpChunk::INIT_ACK).expect_at_client();
}

fn masqueraded_flows_are_never_handed_over<F: Net>() {
    for workers in [2, 3, 8] {
        let mut world = World::<F>::with(workers, |_| {});
        // Tables and keys of the two sides differ.
        let (clients, mut backends) = (Nic::new(1, workers), Nic::new(2, workers));
        backends.table.truncate(64);
        plug(&mut world, [&clients, &backends], [true, true]);
        for client in 0..200 {
            converse(&mut world, client);
        }
        assert_eq!(handed_off(&world), 0, "{workers} workers");
        let flows = world.flows_by_worker();
        assert!(flows.iter().all(|flows| *flows > 300 / usize::from(workers)), "{flows:?}: all workers work");
    }
}

fn flows_that_keep_the_client_still_meet<F: Net>() {
    let mut world = World::<F>::with(WORKERS, |_| {});
    world.service(|service| service.external_policy = TrafficPolicy::Local);
    plug(&mut world, [&Nic::new(1, WORKERS), &Nic::new(2, WORKERS)], [true, true]);
    for client in 0..100 {
        world.client(client).connect().expect_client_kept();
        // A hairpin is masqueraded, which nobody can know before the backend is chosen.
        let backend = backend_addr::<F>(client as usize % 3);
        world.client(0).from(backend, 5000 + client as u16).connect();
    }
    assert!(handed_off(&world) > 0, "no hash brings both directions to one queue");
}

fn errors_and_fragments_find_their_flow<F: Net>() {
    let mut world = World::<F>::with(WORKERS, |_| {});
    plug(&mut world, [&Nic::new(1, WORKERS), &Nic::new(2, WORKERS)], [true, true]);
    for client in 0..60 {
        let who = world.client(client).datagram().expect_at_backend().who();
        let (kind, router) = (IcmpErrorKind::TooBig(1300), F::addr(Network::Routers, 1));
        let outcome = world.resume(&who).icmp_from_backend_side(kind, router);
        assert_eq!(outcome.verdict, Verdict::Forward(CLIENT_PORT));
        let outcome = world.resume(&who).icmp_from_client_side(kind, router);
        assert_eq!(outcome.verdict, Verdict::Forward(BACKEND_PORT));

        let mut long = Spec::new(who.original, NO_FLAGS);
        (long.payload, long.dont_fragment) = (vec![7; 3000], false);
        let parts = cut::<F>(&long.ip(), client as u16, 1200);
        let mut left = Vec::new();
        for part in parts {
            let frame = frame(&long.link, F::ETHER_TYPE.0, &part);
            left.append(&mut world.send_unchecked(&[(CLIENT_PORT, frame)]));
            left.append(&mut world.late);
        }
        let frames: Vec<_> = left.into_iter().filter_map(|outcome| Some(outcome.frame?.1)).collect();
        let whole = reassemble::<F>(&frames);
        assert_eq!(whole.tuple::<F>(), who.at_backend.unwrap(), "the parts are of the flow that is there");
    }
}

fn each_direction_gains_by_itself<F: Net>() {
    let nics = [&Nic::new(1, WORKERS), &Nic::new(2, WORKERS)];
    let count = |known| {
        let mut world = World::<F>::with(WORKERS, |_| {});
        plug(&mut world, nics, known);
        let (mut forward, mut reply) = (0, 0);
        for client in 0..100 {
            let who = world.client(client).syn().expect_at_backend().expect_masqueraded().who();
            let before = handed_off(&world);
            world.resume(&who).send(SYN).expect_at_backend();
            forward += handed_off(&world) - before;
            let before = handed_off(&world);
            world.resume(&who).reply(SYN_ACK).expect_at_client();
            reply += handed_off(&world) - before;
        }
        [forward > 0, reply > 0]
    };
    assert_eq!(count([true, false]), [false, true]);
    assert_eq!(count([false, true]), [true, false]);
    assert_eq!(count([false, false]), [true, true]);
}

/// Ports run out as they would without any facts: the last ones are handed over.
fn when_no_port_comes_home_any_will_do<F: Net>() {
    let mut world = World::<F>::with_ports(2, 61_000..=61_019, |_| {});
    world.set_backends(&[0]);
    plug(&mut world, [&Nic::new(1, 2), &Nic::new(2, 2)], [true, true]);
    let mut used = HashSet::new();
    for client in 0..60 {
        let talk = world.client(client).syn();
        if talk.outcome().frame.is_some() {
            let talk = talk.expect_at_backend().expect_masqueraded();
            assert!(used.insert(talk.who.at_backend.unwrap().source_port));
            talk.reply(SYN_ACK).expect_at_client();
        }
    }
    assert_eq!(used.len(), 20, "every port is used");
    assert!(handed_off(&world) > 0, "of those that come to another worker too");
}

/// Whatever becomes of Services and of what is known of NICs, as long as these go on as before. Replies find their flow
/// even then when they come on any queue.
fn a_flow_stays_with_who_has_it<F: Net>() {
    let mut world = World::<F>::with(WORKERS, |_| {});
    let (clients, backends) = (Nic::new(1, WORKERS), Nic::new(2, WORKERS));
    plug(&mut world, [&clients, &backends], [true, true]);
    let all: Vec<_> = (0..50).map(|client| world.client(client).connect().who()).collect();
    let go_on = |world: &mut World<F>, what: &str| {
        for who in &all {
            world.resume(who).send(ACK).expect_at_backend().reply(ACK).expect_at_client();
        }
        assert_eq!(handed_off(world), 0, "{what}");
    };
    go_on(&mut world, "nothing has changed");
    world.service(|service| service.external_policy = TrafficPolicy::Local);
    go_on(&mut world, "new flows would keep the client");
    world.tables(|tables| Arc::make_mut(&mut tables.vips).tuples = Destinations::default());
    go_on(&mut world, "the Service is gone");
    tell(&mut world.snapshot, [&clients, &backends], [false, false]);
    go_on(&mut world, "the NIC tells no more");
    tell(&mut world.snapshot, [&Nic::new(3, WORKERS), &Nic::new(4, WORKERS)], [true, true]);
    go_on(&mut world, "it tells something else, and does as before");
    world.nic = None;
    tell(&mut world.snapshot, [&clients, &backends], [false, false]);
    for who in &all {
        let mut owners = HashSet::new();
        for arrive_at in 0..usize::from(WORKERS) {
            world.arrive_at = arrive_at;
            owners.insert(world.resume(who).reply(ACK).expect_at_client().outcome().worker);
        }
        assert_eq!(owners.len(), 1, "a reply's owner is in its port");
    }
}

fn any_nic(workers: u16) -> impl Strategy<Value = Nic> {
    let table = (0u32..=8).prop_flat_map(move |bits| vec(0..workers, 1 << bits));
    (vec(any::<u8>(), 40..=52), table, any::<bool>()).prop_map(|(key, table, ports)| Nic {
        key,
        table,
        ports,
    })
}

/// For any facts, right or wrong, known or not: the owner of a reply is the owner of the flow, at every worker and
/// whatever port it comes in on; and where the facts are right a masqueraded packet is its owner's at once.
fn owners_agree<F: Net>(workers: u16, nics: [&Nic; 2], known: [bool; 2], clients: &[(u16, u16, u8)]) {
    let mut world = World::<F>::with(workers, |_| {});
    plug(&mut world, nics, known);
    for (host, port, kind) in clients {
        let talk = world.client(u32::from(*host)).source_port((*port).max(1));
        let talk = match kind % 3 {
            0 => talk.syn(),
            1 => talk.datagram(),
            _ => talk.node_port().syn(),
        };
        let talk = talk.expect_at_backend().expect_masqueraded();
        let (owner, who) = (talk.outcome().worker, talk.who());
        let reply = who.at_backend.unwrap().reversed();
        let tables = F::tables(&world.snapshot);
        for path in &world.workers {
            for port in [CLIENT_PORT, BACKEND_PORT, PortId(9)] {
                assert_eq!(usize::from(path.config().steering.owner(&reply, port, tables)), owner);
                let forward = path.config().steering.owner(&who.original, port, tables);
                assert!(port != CLIENT_PORT || usize::from(forward) == owner, "all say the same");
            }
        }
        if known[0] {
            assert_eq!(nics[0].queue(&Spec::new(who.original, SYN).bytes()), owner);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn owners_agree_for_any_facts(
        (workers, clients, backends) in (1u16..=6).prop_flat_map(|n| (Just(n), any_nic(n), any_nic(n))),
        known in any::<[bool; 2]>(),
        talks in vec(any::<(u16, u16, u8)>(), 1..12),
    ) {
        let mut talks = talks;
        talks.sort();
        talks.dedup_by_key(|(host, port, _)| (*host, *port));
        owners_agree::<V4>(workers, [&clients, &backends], known, &talks);
        owners_agree::<V6>(workers, [&clients, &backends], known, &talks);
    }
}
