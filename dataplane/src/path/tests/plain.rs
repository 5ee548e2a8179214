//! The short way of plain packets, held against the way of all others.

use super::{
    super::{
        packet::{Layout, Packet, Part},
        world::*,
    },
    properties::any_tuple,
};
use crate::{
    io::{MemoryIo, PacketIo},
    state::Tuple,
    table::Transport,
    wire::{Family, IpProtocol, Plain, TcpFlags, V4, V6, acknowledgement},
};
use proptest::{collection::vec, prelude::*, sample::Index};

/// What is plain is what the parsers say it is, whatever bytes are changed in it; and what should be plain is.
fn says_what_the_parsers_say<F: Net>(
    tuple: Tuple<F>,
    (flags, ack, hop_limit, dont_fragment): (u8, u32, u8, bool),
    payload: Vec<u8>,
    changes: &[(Index, u8)],
    repair: bool,
) {
    let mut spec = Spec::<F>::new(tuple, TcpFlags(flags));
    (spec.ack, spec.hop_limit, spec.dont_fragment, spec.payload) = (ack, hop_limit, dont_fragment, payload);
    let mut bytes = spec.bytes();
    let headers = 14 + F::MIN_HEADER + 20;
    let is_whole = tuple.transport != Transport::Sctp && bytes.len() >= headers;
    assert_eq!(F::plain(&bytes).is_some(), is_whole);
    for (index, change) in changes {
        let len = bytes.len().min(headers);
        bytes[index.index(len)] ^= change;
    }
    if repair {
        repair_header::<F>(&mut bytes);
    }
    let Some(plain) = F::plain(&bytes) else { return };
    let mut io = MemoryIo::new(1, 1);
    let mut frame = io.allocate().unwrap();
    frame.write(&bytes).unwrap();
    let parsed = F::packets(&frame).pop();
    if let Some(packet) = parsed {
        is_said_alike(&packet, &plain, &bytes);
    } else {
        let ([source, _], _) = F::split(plain.ends);
        assert!(!F::is_unicast_source(source), "the parsers take what is plain, if a host sent it");
    }
    io.recycle(frame);
}

/// What the parsers say of a packet, and what is said of it because it is plain.
fn is_said_alike<F: Net>(packet: &Packet<F>, plain: &Plain<'_, F>, bytes: &[u8]) {
    assert_eq!(packet.part, Part::Whole);
    assert_eq!(packet.tuple, Tuple::between(plain.ends, packet.tuple.transport));
    assert_eq!(packet.tuple.ends(), *plain.ends);
    assert_eq!(packet.tuple.transport == Transport::Udp, plain.protocol == IpProtocol::UDP);
    assert_eq!((packet.flags, packet.layout.ip_bytes()), (plain.flags, plain.ip_bytes));
    let head = F::plain_head(bytes).expect("it is plain");
    assert_eq!(packet.tuple.ends(), *F::ends(head));
    assert_eq!(packet.acknowledgement, acknowledgement(F::plain_upper(head), plain.flags));
    let (hop_limit, dont_fragment) = (F::plain_hop_limit(head), F::plain_dont_fragment(head));
    assert_eq!((packet.hop_limit, packet.dont_fragment), (hop_limit, dont_fragment));
    let (Layout { l3, l4, end, vlan }, short) = (packet.layout, Layout::of_plain::<F>(plain.ip_bytes));
    assert_eq!((l3, l4, end, vlan), (short.l3, short.l4, short.end, short.vlan));
}

/// Makes an IPv4 header checksum right, if there is a header of the length that it says.
fn repair_header<F: Family>(bytes: &mut [u8]) {
    if F::ADDR_LEN == 4 {
        let len = usize::from(bytes[14] & 0xf) * 4;
        let Some(header) = bytes.get_mut(14..14 + len).filter(|header| header.len() >= 20) else { return };
        fix_ipv4(header);
    }
}

both_families! { padding_makes_no_difference }

proptest! {
    #[test]
    fn plain_v4_is_what_the_parsers_say(
        tuple in any_tuple::<V4>(), rest: (u8, u32, u8, bool), payload in vec(any::<u8>(), 0..40),
        changes in vec((any::<Index>(), any::<u8>()), 0..3), repair: bool,
    ) {
        says_what_the_parsers_say(tuple, rest, payload, &changes, repair);
    }

    #[test]
    fn plain_v6_is_what_the_parsers_say(
        tuple in any_tuple::<V6>(), rest: (u8, u32, u8, bool), payload in vec(any::<u8>(), 0..40),
        changes in vec((any::<Index>(), any::<u8>()), 0..3), repair: bool,
    ) {
        says_what_the_parsers_say(tuple, rest, payload, &changes, repair);
    }
}

/// A datagram in a frame of its own length, too short to be plain, and in one that is padded, fare alike: the same bytes
/// leave, and the same is counted and kept.
fn padding_makes_no_difference<F: Net>() {
    let mut worlds = [World::<F>::new(), World::<F>::new()];
    let mut left = Vec::new();
    for (step, payload) in [0, 3, 7, 11, 1].into_iter().enumerate() {
        for (world, is_padded) in worlds.iter_mut().zip([false, true]) {
            let client = Tuple {
                source: F::addr(Network::Clients, 7),
                destination: F::addr(Network::Vips, CLUSTER_IP),
                source_port: 40_000,
                destination_port: SERVICE_PORT,
                transport: Transport::Udp,
            };
            let known = world.flow(&client);
            let mut spec = match known {
                Some(flow) if step % 2 == 1 => {
                    let mut spec = Spec::<F>::new(flow.reply, TcpFlags(0));
                    spec.link = backend_link(0);
                    spec.link.port = BACKEND_PORT;
                    spec
                }
                _ => Spec::<F>::new(client, TcpFlags(0)),
            };
            spec.payload = vec![step as u8; payload];
            let mut bytes = spec.bytes();
            assert!(F::plain(&bytes).is_none());
            if is_padded {
                bytes.resize(F::MIN_HEADER + 40, 0xee);
                assert!(F::plain(&bytes).is_some());
            }
            let len = spec.bytes().len();
            let outcome = world.send(spec.link.port, &bytes);
            let (port, frame) = outcome.frame.expect("it is forwarded");
            left.push((port, frame[..len].to_vec()));
        }
        let padded = left.pop();
        assert_eq!(left.pop(), padded, "step {step}");
    }
    let [bare, padded] = &worlds;
    assert_eq!(bare.workers[0].counters(), padded.workers[0].counters());
    assert!(
        F::flows(&bare.workers[0]).table.list(0, 100).eq(F::flows(&padded.workers[0]).table.list(0, 100))
    );
}
