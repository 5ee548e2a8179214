//! The link layer: VLAN tags in and out, the way back to a client, a next hop that changes.

use super::super::{DropReason, ReplyKind, world::*};
use super::answers::set_next_hops;
use crate::{
    io::PortId,
    table::Link,
    wire::{EtherAddr, VlanTags},
};

both_families! {
    tags_change_between_client_and_backend,
    answers_keep_the_tags,
    icmp_errors_are_tagged_like_their_flow,
    padding_stays_behind_the_packet_with_as_many_tags,
    the_way_back_follows_the_client,
    a_moved_backend_is_followed,
    a_frame_with_three_tags_is_dropped,
    tags_that_find_no_room_drop_the_packet,
    a_packet_beyond_64_kibibytes_is_dropped,
    udp_without_a_checksum,
    corruption_stays_detectable,
}

const TAGS: [&[u16]; 4] = [&[], &[100], &[200], &[300, 0x6064]];

fn tags_change_between_client_and_backend<F: Net>() {
    for client in TAGS {
        for backend in TAGS {
            let mut world = World::<F>::new();
            world.tables(|tables| {
                set_next_hops(tables, |hop| hop.link.as_mut().unwrap().vlan = tags(backend));
            });
            let talk = world
                .client(0)
                .tagged(tags(client))
                .send_with(ACK, |packet| packet.payload = (0..200).collect())
                .expect_at_backend();
            let expected: Vec<_> = tags(backend).iter().map(|tag| (tag.tpid.0, tag.tci)).collect();
            assert_eq!(talk.seen().tags, expected);
            talk.reply_with(ACK, |packet| {
                packet.link.vlan = tags(backend);
                packet.payload = (0..101).collect();
            })
            .expect_at_client();
        }
    }
}

fn answers_keep_the_tags<F: Net>() {
    for ids in TAGS {
        let mut world = World::<F>::new();
        let (vip, vlan) = (F::addr(Network::Vips, LB_IP), tags(ids));
        let expected: Vec<_> = vlan.iter().map(|tag| (tag.tpid.0, tag.tci)).collect();
        let talk = world.client(0).tagged(vlan).to(vip, 81).syn().expect_reset();
        assert_eq!(talk.seen().tags, expected);
        let talk = talk.datagram().expect_icmp(ReplyKind::PortUnreachable, IcmpErrorKind::PortUnreachable);
        assert_eq!(talk.seen().tags, expected);
    }
}

fn icmp_errors_are_tagged_like_their_flow<F: Net>() {
    let mut world = World::<F>::new();
    let mut talk = world.client(0).tagged(tags(&[100])).datagram().expect_at_backend();
    let router = F::addr(Network::Routers, 1);
    let seen = talk.icmp_from_backend_side(IcmpErrorKind::TooBig(1280), router).seen();
    assert_eq!(seen.tags, [(0x8100, 100)]);
}

fn padding_stays_behind_the_packet_with_as_many_tags<F: Net>() {
    const PADDING: [u8; 18] = [0xaa; 18];
    for (goes, kept) in [(tags(&[]), 0), (tags(&[200]), 18), (tags(&[100]), 18), (tags(&[100, 200]), 0)] {
        let mut world = World::<F>::new();
        world.tables(|tables| set_next_hops(tables, |hop| hop.link.as_mut().unwrap().vlan = goes));
        let client = world.client(0).tagged(tags(&[100]));
        let mut packet = Spec::new(client.udp().who().original, NO_FLAGS);
        packet.link.vlan = tags(&[100]);
        let bytes = packet.bytes();
        let outcome = world.send(CLIENT_PORT, &[&bytes[..], &PADDING].concat());
        let sent = outcome.frame.unwrap().1;
        assert_eq!(sent.len(), bytes.len() - 4 + 4 * goes.len() + kept);
        assert!(sent.ends_with(&PADDING[..kept]));
    }
}

fn the_way_back_follows_the_client<F: Net>() {
    let mut world = World::<F>::new();
    let mut who = world.client(0).connect().who();
    let elsewhere = [
        Link {
            port: PortId(2),
            source: our_mac(PortId(2)),
            destination: EtherAddr([2, 0, 0, 1, 0, 0xdd]),
            vlan: VlanTags::NONE,
        },
        Link {
            port: CLIENT_PORT,
            source: our_mac(CLIENT_PORT),
            destination: EtherAddr([2, 0, 0, 1, 0, 0xee]),
            vlan: tags(&[7]),
        },
    ];
    for link in elsewhere {
        // An answer before the client's next packet still takes the way known.
        world.resume(&who).reply(ACK).expect_at_client();
        who.client_link = link;
        world.resume(&who).send(ACK).expect_at_backend().reply(ACK).expect_at_client();
    }
    // A group is nobody to answer to, or to answer as.
    const GROUP: EtherAddr = EtherAddr([1, 0, 0x5e, 0, 0, 1]);
    let (from, to) = (
        |packet: &mut Spec<F>| packet.link.destination = GROUP,
        |packet: &mut Spec<F>| packet.link.source = GROUP,
    );
    for group in [&from as &dyn Fn(&mut Spec<F>), &to] {
        let talk = world.resume(&who).send_with(ACK, group).expect_at_backend();
        talk.reply(ACK).expect_at_client();
        world.client(9).send_with(SYN, group).expect_drop(DropReason::Martian).expect_no_flow();
    }
}

fn a_moved_backend_is_followed<F: Net>() {
    let mut world = World::<F>::new();
    let who = world.client(0).connect().who();
    let moved = Link {
        port: PortId(2),
        source: our_mac(PortId(2)),
        destination: EtherAddr([2, 0, 0, 9, 9, 9]),
        vlan: tags(&[9]),
    };
    world.tables(|tables| set_next_hops(tables, |hop| hop.link = Some(moved)));
    let talk = world.resume(&who).send(ACK);
    let seen = talk.seen();
    assert_eq!((seen.port, seen.to, seen.from), (moved.port, moved.destination, moved.source));
    assert_eq!(seen.ip.tuple::<F>(), who.at_backend.unwrap());
    assert_eq!(seen.tags, [(0x8100, 9)]);
}

fn a_frame_with_three_tags_is_dropped<F: Net>() {
    let mut world = World::<F>::new();
    let mut frame = world.client(0).tagged(tags(&[1, 2])).syn().sent.bytes();
    frame.splice(12..12, [0x81, 0, 0, 3]);
    let outcome = world.send(CLIENT_PORT, &frame);
    assert_eq!(outcome.verdict, super::super::Verdict::Drop(DropReason::Malformed));
}

fn tags_that_find_no_room_drop_the_packet<F: Net>() {
    let mut world = World::<F>::new();
    world.tables(|tables| {
        set_next_hops(tables, |hop| {
            hop.mtu = 9000;
            hop.link.as_mut().unwrap().vlan = tags(&[1, 2]);
        });
    });
    let room = 2048 - 14 - F::MIN_HEADER - 20;
    let talk = world.client(0).send_with(ACK, |packet| packet.payload = vec![1; room - 8]);
    let talk = talk.expect_at_backend();
    talk.send_with(ACK, |packet| packet.payload = vec![1; room - 7]).expect_drop(DropReason::TooBig);
}

fn a_packet_beyond_64_kibibytes_is_dropped<F: Net>() {
    let mut world = World::<F>::with_frames(1 << 17);
    let room = 65_535 - F::MIN_HEADER - 20;
    world.tables(|tables| set_next_hops(tables, |hop| hop.mtu = u16::MAX));
    let talk = world.client(0).send_with(ACK, |packet| packet.payload = vec![1; room]);
    let talk = talk.expect_drop(DropReason::TooBig).moved("received too_big");
    talk.send_with(ACK, |packet| packet.payload = vec![1; room - 14]).expect_at_backend();
}

// S-154, S-199
fn udp_without_a_checksum<F: Net>() {
    let mut world = World::<F>::new();
    let bare = |packet: &mut Spec<F>| packet.no_checksum = true;
    let talk = world.client(0).udp().send_with(NO_FLAGS, bare);
    if F::UDP_CHECKSUM_REQUIRED {
        talk.expect_drop(DropReason::UdpChecksumMissing).moved("received udp_checksum_missing");
        return;
    }
    let talk = talk.expect_at_backend();
    assert_eq!(talk.seen().ip.l4[6..8], [0, 0], "none there");
    let talk = talk.reply_with(NO_FLAGS, bare).expect_at_client();
    assert_eq!(talk.seen().ip.l4[6..8], [0, 0], "none back");
    // Errors that quote such a datagram leave it without one.
    let who = talk.who();
    let mut quoted = Spec::new(who.at_backend.unwrap(), NO_FLAGS);
    quoted.no_checksum = true;
    let (router, kind) = (F::addr(Network::Routers, 1), IcmpErrorKind::PortUnreachable);
    let error = icmp_error::<F>(kind, router, quoted.tuple.source, &quoted.ip());
    let seen = world.send(BACKEND_PORT, &frame(&backend_link(who.backend), F::ETHER_TYPE.0, &error)).seen();
    assert_eq!(Ip::read(seen.ip.quoted()).l4[6..8], [0, 0], "none in the quotation");
}

// S-201
fn corruption_stays_detectable<F: Net>() {
    let mut world = World::<F>::new();
    let mut bytes = world.client(0).connect().send_with(ACK, |p| p.payload = vec![5; 64]).sent.bytes();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let outcome = world.send_unchecked(&[(CLIENT_PORT, bytes)]).remove(0);
    assert!(outcome.frame.is_some());
    let checked = std::panic::catch_unwind(|| outcome.seen());
    assert!(checked.is_err(), "the checksum has been repaired");
}
