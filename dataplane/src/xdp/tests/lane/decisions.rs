//! Every condition on which the lane takes a packet, by itself.

use super::{
    LaneBench,
    bench::{Laned, REDIRECT, entries, leaves, packet, way_back},
};
use crate::{
    io::PortId,
    lane::{Epoch, MOST_SLOTS, PairId, SlotId, Ticks},
    path::world::{BACKEND_PORT, CLIENT_PORT, Seen, Spec, backend_link, both_families, fix_ipv4, tags},
    state::{LastHopId, Tuple},
    table::{Link, NextHopId, Transport},
    wire::TcpFlags,
};

const PAIR: PairId = PairId(3);
const BOTH: [Transport; 2] = [Transport::Tcp, Transport::Udp];
/// Where the IP header is in an untagged frame.
const IP: usize = 14;

both_families!(
    root_a_promoted_flow_is_translated_both_ways,
    root_flags_decide_about_tcp,
    root_a_slot_must_be_live_and_name_the_packet,
    root_a_full_bucket_is_looked_through,
    root_a_packet_must_have_come_by_the_way_back,
    root_a_way_must_be_there_and_long_enough,
    root_the_last_hop_is_not_taken,
    root_what_is_not_whole_is_not_taken,
    root_tags_are_changed_but_not_added,
    root_epochs_are_of_a_family_and_protocol,
    root_flushing_empties_the_lane,
);

/// A bench with this packet's flow promoted.
fn promoted<F: Laned>(transport: Transport) -> Option<(LaneBench<F>, Spec<F>)> {
    let mut bench = LaneBench::<F>::new()?;
    let spec = packet::<F>(transport);
    bench.promote(PAIR, &spec, &leaves::<F>(transport));
    Some((bench, spec))
}

/// The same once more for another change to the packet: the lane took it before and takes it after.
#[track_caller]
fn takes_but_for<F: Laned>(
    bench: &mut LaneBench<F>,
    spec: &Spec<F>,
    change: impl FnOnce(&mut Vec<u8>),
) -> bool {
    let mut bytes = spec.bytes();
    assert!(bench.takes(&bytes), "unchanged");
    change(&mut bytes);
    bench.takes(&bytes)
}

fn root_a_promoted_flow_is_translated_both_ways<F: Laned>() {
    for transport in BOTH {
        let Some((mut bench, spec)) = promoted::<F>(transport) else { return };
        bench.lane.notices[0].tell_time(Ticks(77));
        let ran = bench.run(&spec.bytes());
        assert_eq!(ran.action, REDIRECT);
        let seen = Seen::read(BACKEND_PORT, &ran.bytes);
        let link = backend_link(1);
        assert_eq!((seen.from, seen.to), (link.source, link.destination));
        assert_eq!(seen.ip.tuple::<F>(), leaves::<F>(transport));
        assert_eq!((seen.ip.hop_limit, seen.ip.payload()), (63, &*spec.payload));
        let [forward, reply] = bench.lane.slots.seen(PAIR);
        assert_eq!((forward.packets, forward.bytes), (1, spec.ip().len() as u64));
        assert_eq!(forward.acked, if transport == Transport::Tcp { spec.ack } else { 0 });
        assert_eq!(forward.last, Ticks(77));
        assert_eq!((reply.packets, reply.bytes), (0, 0));

        let mut answer = packet::<F>(transport);
        answer.tuple = leaves::<F>(transport).reversed();
        // Whichever way it came.
        answer.link = Link { port: PortId(9), ..backend_link(7) };
        let ran = bench.run(&answer.bytes());
        let seen = Seen::read(CLIENT_PORT, &ran.bytes);
        let link = way_back::<F>();
        assert_eq!((seen.from, seen.to), (link.source, link.destination));
        assert_eq!(seen.ip.tuple::<F>(), spec.tuple.reversed());
        let [forward, reply] = bench.lane.slots.seen(PAIR);
        assert_eq!((forward.packets, reply.packets), (1, 1));
        assert_eq!(bench.classifier.counters().unwrap().redirect_lane, 2);
        assert_eq!(bench.classifier.counters().unwrap().redirected(), 0, "to the dataplane");
    }
}

fn root_flags_decide_about_tcp<F: Laned>() {
    let Some((mut bench, mut spec)) = promoted::<F>(Transport::Tcp) else { return };
    for flags in 0..=u8::MAX {
        let flags = TcpFlags(flags);
        spec.flags = flags;
        let others = TcpFlags::SYN | TcpFlags::FIN | TcpFlags::RST;
        let mut bytes = spec.bytes();
        // The builder knows no ECN.
        bytes[IP + F::MIN_HEADER + 13] = flags.0;
        assert_eq!(bench.takes(&bytes), flags.ack() && !flags.intersects(others), "{flags}");
    }
}

fn root_a_slot_must_be_live_and_name_the_packet<F: Laned>() {
    let Some((mut bench, spec)) = promoted::<F>(Transport::Tcp) else { return };
    let frame = spec.bytes();
    assert!(bench.takes(&frame));
    bench.lane.slots.end(PAIR);
    assert!(!bench.takes(&frame), "not live");
    let (out, back) =
        (bench.lane.hops.next(NextHopId(1)).unwrap(), bench.lane.hops.last(1, LastHopId::default()));
    let entries = entries(&spec.tuple, &leaves::<F>(Transport::Tcp), out, back);
    let [slot, reply] = bench.lane.slots.write(PAIR, &entries);
    assert!(bench.takes(&frame));
    let stranger = Tuple { source_port: 1, ..spec.tuple };
    assert!(bench.lane.index.insert(&stranger, slot));
    assert!(bench.takes(&frame));
    assert!(
        !bench.takes(&Spec { tuple: stranger, ..spec.clone() }.bytes()),
        "another tuple than the slot says"
    );
    bench.lane.index.remove(&spec.tuple, slot);
    assert!(!bench.takes(&frame), "not in the index");
    let wrong = [SlotId(MOST_SLOTS - 1), reply, SlotId(0)];
    wrong.iter().for_each(|slot| assert!(bench.lane.index.insert(&spec.tuple, *slot)));
    assert!(!bench.takes(&frame), "no such slots, and others'");
    assert!(bench.lane.index.insert(&spec.tuple, slot));
    assert!(bench.takes(&frame), "behind those");
    wrong.iter().for_each(|slot| bench.lane.index.remove(&spec.tuple, *slot));
    assert!(bench.takes(&frame));
    bench.lane.slots.set_epoch(PAIR, Epoch::NONE);
    bench.maps.control.set_epoch(F::ADDR_LEN == 16, Transport::Tcp, Epoch::NONE);
    assert!(!bench.takes(&frame), "no epoch is in force");
}

/// As many as a bucket has, wherever they are looked for first.
fn root_a_full_bucket_is_looked_through<F: Laned>() {
    let Some((mut bench, spec)) = promoted::<F>(Transport::Udp) else { return };
    let [slot, reply] = bench.lane.slots.ids(PAIR);
    // It might be in the same one.
    bench.lane.index.remove(&leaves::<F>(Transport::Udp).reversed(), reply);
    for wrong in 0..15 {
        assert!(bench.lane.index.insert(&spec.tuple, SlotId(MOST_SLOTS - 1 - wrong)));
        assert!(bench.takes(&spec.bytes()));
        bench.lane.index.remove(&spec.tuple, slot);
        assert!(!bench.takes(&spec.bytes()));
        assert!(bench.lane.index.insert(&spec.tuple, slot));
        assert!(bench.takes(&spec.bytes()));
    }
    assert!(!bench.lane.index.insert(&spec.tuple, SlotId(0)), "it is full");
}

fn root_a_packet_must_have_come_by_the_way_back<F: Laned>() {
    for transport in BOTH {
        let Some((mut bench, spec)) = promoted::<F>(transport) else { return };
        for byte in 0..12 {
            assert!(!takes_but_for(&mut bench, &spec, |frame| frame[byte] ^= 1), "address byte {byte}");
        }
        let back = bench.lane.hops.last(1, LastHopId::default());
        let other = |link: Link| Some((link, 1500));
        for (link, taken) in [
            (other(Link { port: BACKEND_PORT, ..spec.link }), false),
            (other(Link { vlan: tags(&[7]), ..spec.link }), false),
            (None, false),
            (other(spec.link), true),
        ] {
            bench.lane.hops.set(back, link.as_ref().map(|(link, mtu)| (link, *mtu)));
            assert_eq!(bench.takes(&spec.bytes()), taken, "{link:?}");
        }
    }
}

fn root_a_way_must_be_there_and_long_enough<F: Laned>() {
    for transport in BOTH {
        let Some((mut bench, spec)) = promoted::<F>(transport) else { return };
        let (frame, out) = (spec.bytes(), bench.lane.hops.next(NextHopId(1)).unwrap());
        let length = spec.ip().len() as u16;
        for (way, taken) in [
            (Some((&backend_link(1), length)), true),
            (Some((&backend_link(1), length - 1)), false),
            (None, false),
            (Some((&Link { port: PortId(77), ..backend_link(1) }, 1500)), false),
            (Some((&backend_link(2), 1500)), true),
        ] {
            bench.lane.hops.set(out, way);
            assert_eq!(bench.takes(&frame), taken, "{way:?}");
        }
        bench.maps.control.set_port(BACKEND_PORT, None).unwrap();
        assert!(!bench.maps.control.usable().contains(BACKEND_PORT));
        assert!(!bench.takes(&frame), "redirects to it do not work");
        bench.maps.control.set_port(BACKEND_PORT, None).unwrap();
        bench.maps.control.set_port(BACKEND_PORT, Some(super::super::LOOPBACK)).unwrap();
        assert!(bench.takes(&frame) && bench.lane.usable.contains(BACKEND_PORT));
        let error = bench.maps.control.set_port(BACKEND_PORT, Some(u32::MAX / 2)).unwrap_err();
        assert!(error.to_string().contains("cannot be redirected to interface"), "{error}");
    }
}

fn root_the_last_hop_is_not_taken<F: Laned>() {
    for transport in BOTH {
        let Some((mut bench, spec)) = promoted::<F>(transport) else { return };
        for (hop_limit, taken) in [(255, true), (2, true), (1, false), (0, false)] {
            assert_eq!(bench.takes(&Spec { hop_limit, ..spec.clone() }.bytes()), taken, "{hop_limit} hops");
        }
    }
}

fn root_what_is_not_whole_is_not_taken<F: Laned>() {
    let upper = IP + F::MIN_HEADER;
    for transport in BOTH {
        let Some((mut bench, spec)) = promoted::<F>(transport) else { return };
        let is_v4 = F::ADDR_LEN == 4;
        let whole = spec.bytes();
        for length in 0..whole.len() {
            // The kernel runs no program on less than an Ethernet header.
            assert!(length < IP || !bench.takes(&whole[..length]), "{length} bytes");
        }
        assert!(takes_but_for(&mut bench, &spec, |frame| frame.extend([0; 9])), "padding");
        let mut longer = |by: i16| {
            takes_but_for(&mut bench, &spec, |frame| {
                let at = IP + if is_v4 { 2 } else { 4 };
                let stated = u16::from_be_bytes([frame[at], frame[at + 1]]).wrapping_add_signed(by);
                frame[at..at + 2].copy_from_slice(&stated.to_be_bytes());
                if is_v4 {
                    fix_ipv4(&mut frame[IP..]);
                }
            })
        };
        assert!(!longer(1), "more than the frame has");
        let payload = spec.payload.len() as i16;
        assert_eq!(longer(-payload), transport == Transport::Tcp, "UDP has a length of its own");
        assert!(!longer(-payload - 1), "less than the headers");
        let stated = |at: usize, bytes: &[u8]| {
            let bytes = bytes.to_vec();
            move |frame: &mut Vec<u8>| frame[upper + at..][..bytes.len()].copy_from_slice(&bytes)
        };
        let changes: &[(usize, &[u8], bool)] = match transport {
            Transport::Tcp => {
                &[(12, &[0x40], false), (12, &[0xf0], false), (12, &[0x60], true), (12, &[0x90], false)]
            }
            _ => &[(4, &[0, 7], false), (4, &[0, 8], true), (4, &[0, 22], false), (6, &[0, 0], is_v4)],
        };
        for (at, bytes, taken) in changes {
            assert_eq!(takes_but_for(&mut bench, &spec, stated(*at, bytes)), *taken, "{bytes:?} at {at}");
        }
        if is_v4 {
            let fixed = |at: usize, byte: u8| {
                move |frame: &mut Vec<u8>| {
                    frame[IP + at] = byte;
                    fix_ipv4(&mut frame[IP..]);
                }
            };
            assert!(takes_but_for(&mut bench, &spec, fixed(1, 0x2e)), "type of service");
            assert!(takes_but_for(&mut bench, &spec, fixed(6, 0)), "may be fragmented");
            assert!(!takes_but_for(&mut bench, &spec, fixed(6, 0x20)), "first fragment");
            assert!(!takes_but_for(&mut bench, &spec, fixed(7, 1)), "later fragment");
            assert!(!takes_but_for(&mut bench, &spec, fixed(0, 0x46)), "options");
            assert!(!takes_but_for(&mut bench, &spec, fixed(0, 0x55)), "version");
            assert!(!takes_but_for(&mut bench, &spec, |frame| frame[IP + 10] ^= 1), "header checksum");
        } else {
            assert!(takes_but_for(&mut bench, &spec, |frame| frame[IP + 1] = 0x77), "flow label");
            assert!(!takes_but_for(&mut bench, &spec, |frame| frame[IP] = 0x45), "version");
            for next in [0, 43, 44, 51, 60] {
                assert!(
                    !takes_but_for(&mut bench, &spec, |frame| frame[IP + 6] = next),
                    "next header {next}"
                );
            }
        }
    }
}

fn root_tags_are_changed_but_not_added<F: Laned>() {
    let ids: [&[u16]; 5] = [&[], &[5], &[6], &[5, 6], &[6, 5]];
    for transport in BOTH {
        for came in ids {
            for goes in ids {
                let Some(mut bench) = LaneBench::<F>::new() else { return };
                let mut spec = packet::<F>(transport);
                spec.link.vlan = tags(came);
                bench.promote(PAIR, &spec, &leaves::<F>(transport));
                let out = bench.lane.hops.next(NextHopId(1)).unwrap();
                bench.lane.hops.set(out, Some((&Link { vlan: tags(goes), ..backend_link(1) }, 1500)));
                let padded = [spec.bytes(), vec![0xaa; 5]].concat();
                assert_eq!(bench.takes(&padded), came.len() == goes.len(), "{came:?} to {goes:?}");
                if came.len() != goes.len() {
                    continue;
                }
                let ran = bench.run(&padded);
                let seen = Seen::read(BACKEND_PORT, &ran.bytes);
                let expected: Vec<_> = tags(goes).iter().map(|tag| (tag.tpid.0, tag.tci)).collect();
                assert_eq!(seen.tags, expected);
                assert_eq!(ran.bytes.len(), padded.len());
                let mut other = spec.clone();
                other.link.vlan = tags(if came.len() == 1 { &[9] } else { &[9, 9] });
                assert!(!bench.takes(&other.bytes()), "another network");
            }
        }
    }
}

fn root_epochs_are_of_a_family_and_protocol<F: Laned>() {
    let v6 = F::ADDR_LEN == 16;
    for transport in BOTH {
        let Some((mut bench, spec)) = promoted::<F>(transport) else { return };
        let frame = spec.bytes();
        let in_force = bench.maps.control.epoch(v6, transport);
        for other in BOTH {
            for family in [v6, !v6] {
                let control = &mut bench.maps.control;
                let (before, next) = (control.epoch(family, other), Epoch::new(0, other, 99));
                let next = if other == Transport::Tcp { Epoch::new(1, other, 0) } else { next };
                control.set_epoch(family, other, next);
                let taken = (family, other) != (v6, transport);
                assert_eq!(bench.takes(&frame), taken, "{transport} of {family} after {other} of {other}");
                bench.maps.control.set_epoch(family, other, before);
            }
        }
        bench.maps.control.set_epoch(v6, transport, Epoch(77));
        assert!(!bench.takes(&frame));
        bench.lane.slots.set_epoch(PAIR, Epoch(77));
        assert!(bench.takes(&frame), "its worker has looked at it");
        bench.maps.control.set_epoch(v6, transport, in_force);
        assert!(!bench.takes(&frame));
    }
}

fn root_flushing_empties_the_lane<F: Laned>() {
    for transport in BOTH {
        let Some((mut bench, spec)) = promoted::<F>(transport) else { return };
        assert!(bench.takes(&spec.bytes()));
        bench.maps.control.flush();
        assert!(!bench.takes(&spec.bytes()));
        assert_eq!(bench.lane.flushes.get(), 1);
        let epoch = Epoch::new(1, transport, 3);
        bench.lane.slots.set_epoch(PAIR, epoch);
        assert!(bench.takes(&spec.bytes()));
    }
}
