//! Frames byte by byte, and what is not for us.

use super::*;

const OWN: EtherAddr = EtherAddr([2, 0, 0, 0, 0, 1]);
const THEIRS: EtherAddr = EtherAddr([2, 0, 0, 0, 0, 2]);
const THIRD: EtherAddr = EtherAddr([2, 0, 0, 0, 0, 3]);

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn v6(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

fn one(say: Say) -> Vec<u8> {
    let frames = say.frames(OWN);
    assert_eq!(frames.len(), 1);
    frames.into_iter().next().unwrap()
}

/// The IPv6 packet of a frame, and its neighbour advertisement; hop limit and checksum are verified.
fn advertisement_in(frame: &[u8]) -> (EtherAddr, Ipv6Addr, Ipv6Addr, NeighbourAdvertisement) {
    let ethernet = Ethernet::parse(frame).unwrap();
    assert_eq!((ethernet.source(), ethernet.ether_type()), (OWN, EtherType::IPV6));
    let l3 = ethernet.payload();
    let header = V6::parse(l3).unwrap();
    assert_eq!((header.hop_limit, header.protocol), (255, IpProtocol::ICMPV6));
    let (source, destination) = (V6::source(l3), V6::destination(l3));
    let l4 = header.upper_layer(l3);
    let sum = V6::icmp_sum(source, destination, l4.len() as u32);
    assert!(Icmpv6::parse(l4).unwrap().checksum_is_valid(sum));
    (ethernet.destination(), source, destination, NeighbourAdvertisement::parse(l4).unwrap())
}

/// Only a claim, of the other host.
fn claims(address: &str, is_answer: bool) -> Heard {
    Heard { asked: None, claimed: Some(Claimed { address: ip(address), ether: THEIRS, is_answer }) }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

// S-188
#[test]
fn gratuitous_arp_is_a_request_and_a_reply_to_all() {
    let frames = Say::Announce(ip("192.0.2.10")).frames(OWN);
    let frame = |operation: &str| {
        format!(
            "ffffffffffff0200000000010806{}{operation}020000000001c000020affffffffffffc000020a",
            "000108000604"
        )
    };
    assert_eq!(frames.iter().map(|frame| hex(frame)).collect::<Vec<_>>(), [frame("0001"), frame("0002")]);
}

// S-188
#[test]
fn unsolicited_advertisements_go_to_all_nodes_and_replace_what_is_known() {
    let (to, source, destination, told) = advertisement_in(&one(Say::Announce(ip("2001:db8::10"))));
    assert_eq!((to.to_string().as_str(), destination), ("33:33:00:00:00:01", v6("ff02::1")));
    assert_eq!(source, v6("2001:db8::10"));
    let expected = NeighbourAdvertisement {
        target: v6("2001:db8::10"),
        router: false,
        solicited: false,
        replace: true,
        target_ether: Some(OWN),
    };
    assert_eq!(told, expected);
}

// S-189
#[test]
fn an_arp_answer_goes_to_who_asked() {
    let asker = Asker { ether: THEIRS, address: ip("192.0.2.1") };
    let frame = one(Say::Answer(ip("192.0.2.10"), asker));
    let ethernet = Ethernet::parse(&frame).unwrap();
    assert_eq!((ethernet.destination(), ethernet.source()), (THEIRS, OWN));
    let arp = Arp::parse(ethernet.payload()).unwrap();
    assert_eq!(arp.operation, ArpOperation::Reply);
    assert_eq!((arp.sender_ether, IpAddr::from(arp.sender)), (OWN, ip("192.0.2.10")));
    assert_eq!((arp.target_ether, IpAddr::from(arp.target)), (THEIRS, ip("192.0.2.1")));
}

// S-190
#[test]
fn a_solicited_advertisement_is_solicited_and_does_not_override() {
    let asker = Asker { ether: THEIRS, address: ip("fe80::2") };
    let (to, source, destination, told) = advertisement_in(&one(Say::Answer(ip("2001:db8::10"), asker)));
    assert_eq!((to, source, destination), (THEIRS, v6("2001:db8::10"), v6("fe80::2")));
    assert!(told.solicited && !told.replace && told.target_ether == Some(OWN));
    // Duplicate address detection has no address to be answered at.
    let asker = Asker { ether: THEIRS, address: ip("::") };
    let (to, _, destination, told) = advertisement_in(&one(Say::Answer(ip("2001:db8::10"), asker)));
    assert_eq!((to, destination), (EtherAddr::of_multicast(ALL_NODES), ALL_NODES));
    assert!(!told.solicited && !told.replace && told.target_ether == Some(OWN));
}

#[test]
fn an_arp_request_asks_and_claims() {
    let frame = |to, arp| arp_frame(THEIRS, to, arp).unwrap();
    let request = Arp::request(THEIRS, [192, 0, 2, 1].into(), [192, 0, 2, 10].into());
    let asker = Asker { ether: THEIRS, address: ip("192.0.2.1") };
    let both = Heard { asked: Some((ip("192.0.2.10"), asker)), claimed: claims("192.0.2.1", false).claimed };
    assert_eq!(Heard::read(&frame(EtherAddr::BROADCAST, request), OWN), both);
    assert_eq!(Heard::read(&frame(OWN, request), OWN), both);
    // For another host, or for a group that is not all.
    assert_eq!(Heard::read(&frame(THIRD, request), OWN), Heard::default());
    assert_eq!(Heard::read(&frame(EtherAddr([1, 0, 0x5e, 0, 0, 1]), request), OWN), Heard::default());
    let from_all = Arp::request(EtherAddr::BROADCAST, request.sender, request.target);
    assert_eq!(Heard::read(&frame(OWN, from_all), OWN), Heard::default());
}

// S-189
#[test]
fn arp_replies_and_announcements_only_claim() {
    let request = Arp::request(OWN, [192, 0, 2, 1].into(), [192, 0, 2, 10].into());
    let reply = arp_frame(THEIRS, OWN, request.reply(THEIRS)).unwrap();
    assert_eq!(Heard::read(&reply, OWN), claims("192.0.2.10", true));
    let to_all = arp_frame(THEIRS, EtherAddr::BROADCAST, request.reply(THEIRS)).unwrap();
    assert_eq!(Heard::read(&to_all, OWN), claims("192.0.2.10", false));
    let announcement = Arp::announcement(THEIRS, [192, 0, 2, 10].into());
    assert_eq!(
        Heard::read(&arp_frame(THEIRS, EtherAddr::BROADCAST, announcement).unwrap(), OWN),
        claims("192.0.2.10", false)
    );
}

#[test]
fn our_probes_are_questions_that_claim_nothing() {
    for (address, unspecified) in [("192.0.2.10", "0.0.0.0"), ("2001:db8::10", "::")] {
        let frame = one(Say::Probe(ip(address)));
        let asker = Asker { ether: OWN, address: ip(unspecified) };
        let expected = Heard { asked: Some((ip(address), asker)), claimed: None };
        assert_eq!(Heard::read(&frame, THEIRS), expected);
    }
}

/// A solicitation for 2001:db8::10 with these ends.
fn asks(source: &str, destination: &str, source_ether: Option<EtherAddr>, to: EtherAddr) -> Vec<u8> {
    let asked = NeighbourSolicitation { target: v6("2001:db8::10"), source_ether };
    let mut message = [0; NeighbourSolicitation::MAX_LEN];
    let length = asked.write(&mut message, v6(source), v6(destination)).unwrap();
    nd_frame((THEIRS, to), (v6(source), v6(destination)), &message[..length]).unwrap()
}

// S-190
#[test]
fn solicitations_are_heard_by_the_rules_of_rfc_4861() {
    let group = "ff02::1:ff00:10";
    let group_ether = EtherAddr::of_multicast(v6(group));
    let asked = |ether, address: &str| {
        let asker = Asker { ether, address: ip(address) };
        Heard { asked: Some((ip("2001:db8::10"), asker)), claimed: None }
    };
    let heard = |source, destination, link, to| Heard::read(&asks(source, destination, link, to), OWN);
    assert_eq!(heard("fe80::2", group, Some(THIRD), group_ether), asked(THIRD, "fe80::2"));
    // Whether a neighbour is still there is asked without the option, too.
    assert_eq!(heard("fe80::2", "2001:db8::10", None, OWN), asked(THEIRS, "fe80::2"));
    assert_eq!(heard("::", group, None, group_ether), asked(THEIRS, "::"));
    // Duplicate address detection that is none, and the wrong group.
    assert_eq!(heard("::", group, Some(THEIRS), group_ether), Heard::default());
    assert_eq!(heard("::", "2001:db8::10", None, OWN), Heard::default());
    assert_eq!(heard("fe80::2", "ff02::1", Some(THEIRS), group_ether), Heard::default());
    assert_eq!(heard("fe80::2", "2001:db8::10", None, THIRD), Heard::default());
    for (at, what) in [(14 + 7, "hop limit"), (14 + 40 + 2, "checksum"), (14 + 40 + 1, "code")] {
        let mut frame = asks("fe80::2", group, Some(THEIRS), group_ether);
        frame[at] ^= 1;
        assert_eq!(Heard::read(&frame, OWN), Heard::default(), "{what}");
    }
}

#[test]
fn advertisements_claim() {
    let told = |solicited, replace, destination: Ipv6Addr| {
        let frame = advertisement(THEIRS, OWN, v6("2001:db8::10"), destination, solicited, replace).unwrap();
        Heard::read(&frame, OWN)
    };
    assert_eq!(told(false, true, ALL_NODES), claims("2001:db8::10", false));
    assert_eq!(told(false, false, ALL_NODES), claims("2001:db8::10", true), "as a gateway answers a probe");
    assert_eq!(told(true, true, v6("fe80::1")), claims("2001:db8::10", true));
    assert_eq!(told(true, true, ALL_NODES), Heard::default());
}

proptest::proptest! {
    #[test]
    fn any_bytes_do_no_harm(mut bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..120), which in 0..3usize) {
        let types: [[u8; 2]; 3] = [[0x08, 0x06], [0x86, 0xdd], [0x81, 0x00]];
        if let Some(place) = bytes.get_mut(12..14) {
            place.copy_from_slice(&types[which]);
        }
        let _heard = Heard::read(&bytes, OWN);
    }
}
