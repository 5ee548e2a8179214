//! What holds for any packets: translation is undone by its opposite, and no bytes at all make the path panic.

use super::super::{
    rewrite::{self, Translation},
    world::*,
};
use crate::{
    io::{FrameBatch, MemoryIo, PacketIo, PortId},
    state::Tuple,
    table::{Endpoints, Tables, TrafficPolicy, Transport},
    wire::{Leaving, TcpFlags, V4, V6},
};
use proptest::{collection::vec, prelude::*, sample::Index};
use std::{num::NonZeroU32, sync::Arc, time::Duration};

fn network() -> impl Strategy<Value = Network> {
    prop_oneof![
        Just(Network::Clients),
        Just(Network::Backends),
        Just(Network::Vips),
        Just(Network::Node),
        Just(Network::Pods),
        Just(Network::Routers)
    ]
}

pub(super) fn any_tuple<F: Net>() -> impl Strategy<Value = Tuple<F>> {
    let end = || (network(), any::<u16>(), any::<u16>());
    let transport = prop_oneof![Just(Transport::Tcp), Just(Transport::Udp), Just(Transport::Sctp)];
    (end(), end(), transport).prop_map(|(from, to, transport)| Tuple {
        source: F::addr(from.0, from.1.into()),
        destination: F::addr(to.0, to.1.into()),
        source_port: from.2,
        destination_port: to.2,
        transport,
    })
}

/// Classifies a frame and translates it, as the path would.
fn translate<F: Net>(io: &mut MemoryIo, bytes: &[u8], old: &Tuple<F>, new: &Tuple<F>) -> Vec<u8> {
    let mut frame = io.allocate().unwrap();
    frame.write(bytes).unwrap();
    let packet = F::classify(&frame);
    assert_eq!(packet.tuple, *old);
    let [deltas, back] = rewrite::flow_deltas(old, &new.reversed());
    let [turned, _] = rewrite::flow_deltas(&new.reversed(), old);
    assert_eq!(back, turned, "the way back takes off what the way there adds");
    let translation = Translation { tuple: *new, deltas, link: &backend_link(0), mtu: 1500 };
    rewrite::translate(&packet, &mut frame, &translation);
    let translated = frame.to_vec();
    if old.transport != Transport::Sctp {
        frame.write(bytes).unwrap();
        rewrite::translate_whole(&packet, &mut frame, &translation);
        assert_eq!(frame.to_vec(), translated, "both ways to translate do the same");
    }
    if F::plain(bytes).is_some() {
        frame.write(bytes).unwrap();
        let head = F::plain_head_mut(&mut frame).expect("it is plain");
        let answer = &new.reversed().ends();
        let leaving = Leaving { answer, header: deltas.header, transport: deltas.transport };
        F::translate_plain(head, new.transport == Transport::Udp, leaving);
        assert_eq!(frame.to_vec(), translated, "and so does the short way for plain packets");
    }
    io.recycle(frame);
    translated
}

/// The translation equals a packet built anew with the other tuple and one hop less, byte for byte; and translating
/// back gives what was there. A payload that is corrupt stays so, also when it comes back.
fn round_trip<F: Net>(
    a: Tuple<F>,
    mut b: Tuple<F>,
    flags: u8,
    payload: Vec<u8>,
    no_checksum: bool,
    flip: Index,
) {
    b.transport = a.transport;
    let mut io = MemoryIo::new(1, 1);
    let spec = |tuple, hop_limit| {
        let mut spec = Spec::<F>::new(tuple, TcpFlags(flags));
        (spec.hop_limit, spec.payload) = (hop_limit, payload.clone());
        spec.no_checksum = no_checksum && !F::UDP_CHECKSUM_REQUIRED;
        spec
    };
    let original = spec(a, 64).bytes();
    let there = translate(&mut io, &original, &a, &b);
    assert_eq!(there, spec(b, 63).bytes(), "there");
    let back = translate(&mut io, &there, &b, &a);
    assert_eq!(back, spec(a, 62).bytes(), "and back");
    if payload.is_empty() {
        return;
    }
    let at = original.len() - payload.len() + flip.index(payload.len());
    let mut corrupt = original;
    corrupt[at] ^= 0x20;
    let there = translate(&mut io, &corrupt, &a, &b);
    let back = translate(&mut io, &there, &b, &a);
    let mut expected = spec(a, 62).bytes();
    expected[at] ^= 0x20;
    assert_eq!(back, expected, "corrupt there and back");
}

proptest! {
    #[test]
    fn nat_and_back_is_the_identity_v4(
        a in any_tuple::<V4>(), b in any_tuple::<V4>(), flags: u8, payload in vec(any::<u8>(), 0..300),
        no_checksum: bool, flip: Index,
    ) {
        round_trip(a, b, flags, payload, no_checksum, flip);
    }

    #[test]
    fn nat_and_back_is_the_identity_v6(
        a in any_tuple::<V6>(), b in any_tuple::<V6>(), flags: u8, payload in vec(any::<u8>(), 0..300),
        no_checksum: bool, flip: Index,
    ) {
        round_trip(a, b, flags, payload, no_checksum, flip);
    }
}

/// One frame of the storm.
#[derive(Debug, Clone)]
struct Shot {
    kind: u8,
    client: u8,
    flags: u8,
    payload: u8,
    vlan: u8,
    /// Bytes to change: where (in per mille of the frame) and by what.
    flips: Vec<(u16, u8)>,
    /// Cut to this share of the frame, in per mille.
    cut: Option<u16>,
    /// Make the IPv4 header checksum right again.
    repair: bool,
    port: u8,
}

fn shot() -> impl Strategy<Value = Shot> {
    let flips = prop_oneof![3 => Just(Vec::new()), 2 => vec((0..1000u16, any::<u8>()), 1..4)];
    let cut = prop_oneof![6 => Just(None), 1 => (0..1000u16).prop_map(Some)];
    (0..9u8, 0..6u8, any::<u8>(), any::<u8>(), 0..4u8, flips, cut, any::<bool>(), 0..3u8).prop_map(
        |(kind, client, flags, payload, vlan, flips, cut, repair, port)| Shot {
            kind,
            client,
            flags,
            payload,
            vlan,
            flips,
            cut,
            repair,
            port,
        },
    )
}

impl Shot {
    fn frame<F: Net>(&self, world: &mut World<F>) -> (PortId, Vec<u8>) {
        let vip = 1 + u32::from(self.flags) % 4;
        let talk = world.client(self.client.into()).vip(vip);
        let talk = match self.kind {
            1 => talk.node_port(),
            2 | 3 => talk.udp(),
            8 => talk.sctp(),
            _ => talk,
        };
        let original = talk.who().original;
        let known = world.flow(&original).map(|flow| flow.reply);
        let answer = known.unwrap_or(original.reversed());
        let tuple = if matches!(self.kind, 3 | 4) { answer } else { original };
        // Mostly flags that move the state on.
        let flags = match self.flags % 8 {
            0..=2 => SYN,
            3 => SYN_ACK,
            4 | 5 => ACK,
            6 => FIN_ACK,
            _ => TcpFlags(self.flags),
        };
        let mut spec = Spec::new(tuple, flags);
        spec.payload = vec![self.payload; usize::from(self.payload) * 6];
        spec.hop_limit = if self.payload == 7 { 1 } else { 64 };
        spec.link.vlan = tags([&[][..], &[1], &[2], &[1, 2]][usize::from(self.vlan)]);
        let router = F::addr(Network::Routers, self.client.into());
        let mut bytes = match self.kind {
            5 | 6 => {
                let quoted = if self.kind == 5 { answer.reversed() } else { original.reversed() };
                let quoted = Spec::new(quoted, ACK).ip();
                let kind = IcmpErrorKind::TooBig(1200);
                let to = Ip::read(&quoted).source;
                let error = icmp_error::<F>(kind, router, F::from_ip(to).unwrap(), &quoted);
                frame(&spec.link, F::ETHER_TYPE.0, &error)
            }
            7 => vec![self.flags; usize::from(self.payload) * 2],
            _ => spec.bytes(),
        };
        self.spoil(&mut bytes, 14 + 4 * spec.link.vlan.len());
        (PortId(self.port), bytes)
    }

    fn spoil(&self, bytes: &mut Vec<u8>, l3: usize) {
        for (at, change) in &self.flips {
            // Most of the interest is in the headers.
            let span = if change & 1 == 0 { bytes.len().min(l3 + 60) } else { bytes.len() };
            if let Some(byte) = bytes.get_mut(usize::from(*at) * span / 1000) {
                *byte ^= change;
            }
        }
        if let Some(cut) = self.cut {
            bytes.truncate(usize::from(cut) * bytes.len() / 1000);
        }
        if self.repair && bytes.get(l3).is_some_and(|byte| byte >> 4 == 4) && bytes.len() >= l3 + 20 {
            let len = usize::from(bytes[l3] & 0xf) * 4;
            if len >= 20 && bytes.len() >= l3 + len {
                bytes[l3 + 10..l3 + 12].copy_from_slice(&[0, 0]);
                let sum = !ones_complement_sum(&bytes[l3..l3 + len]);
                bytes[l3 + 10..l3 + 12].copy_from_slice(&sum.to_be_bytes());
            }
        }
    }
}

/// A change of the tables, as a publication in the middle of traffic.
fn swap<F: Net>(world: &mut World<F>, change: u8) {
    match change {
        0 => world.set_backends(&[0, 1, 2]),
        1 => world.set_backends(&[2]),
        2 => world.set_backends(&[]),
        3 => world.service(|service| service.local = Endpoints::Drop),
        4 => world.service(|service| service.external_policy = TrafficPolicy::Local),
        5 => world.service(|service| service.source_ranges = Some(Arc::default())),
        6 => world.tables(|tables| tables.next_hops = Default::default()),
        7 => world.tables(|tables| super::answers::set_next_hops(tables, |hop| hop.link = None)),
        8 => world.tables(|tables| super::answers::set_next_hops(tables, |hop| hop.mtu = 100)),
        9 => world.tables(|tables| *tables = Tables::default()),
        10 => world.tables(|tables| tables.services = Default::default()),
        11 => world.tables(|tables| {
            tables.snat_addresses = Arc::from([F::addr(Network::Node, 7), F::addr(Network::Node, 8)]);
        }),
        12 => world.service(|service| service.affinity = NonZeroU32::new(1)),
        _ => world.tables(|tables| Arc::make_mut(&mut tables.locality).pods = None),
    }
}

type Round = (Vec<Shot>, Option<u8>, u32);

fn storm<F: Net>(workers: u16, flows: usize, rounds: &[Round]) {
    let mut world = World::<F>::with_ports(workers, 61_000..=61_012, |config| {
        (config.v4_flows, config.v6_flows) = (flows, flows);
    });
    for (shots, change, wait) in rounds {
        let frames: Vec<_> = shots.iter().map(|shot| shot.frame(&mut world)).collect();
        world.send_unchecked(&frames);
        if let Some(change) = change {
            swap(&mut world, *change);
        }
        world.wait_and_expire(Duration::from_millis(u64::from(*wait)));
    }
    let counts: usize = world.flows_by_worker().iter().sum();
    assert!(counts <= flows * usize::from(workers));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    /// `World` holds `received` against the sum of the verdicts after every round, and the frames at the end.
    #[test]
    fn nothing_makes_the_path_panic(
        workers in 1..4u16,
        flows in prop_oneof![1..8usize, Just(256)],
        rounds in vec((vec(shot(), 1..64), proptest::option::of(0..14u8), 0..200_000u32), 1..8),
    ) {
        storm::<V4>(workers, flows, &rounds);
        storm::<V6>(workers, flows, &rounds);
    }

    #[test]
    fn any_bytes_at_all_are_taken(frames in vec(vec(any::<u8>(), 0..200), 1..64)) {
        let mut world = World::<V4>::new();
        let frames: Vec<_> = frames.into_iter().map(|frame| (CLIENT_PORT, frame)).collect();
        world.send_unchecked(&frames);
    }
}

/// A batch of none is no work.
#[test]
fn an_empty_batch_has_no_verdicts() {
    let mut world = World::<V4>::new();
    let (snapshot, now) = (world.snapshot.clone(), world.now);
    assert!(world.workers[0].process(&mut FrameBatch::new(), &snapshot, now).is_empty());
}
