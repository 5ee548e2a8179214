use rtnetlink::packet_route::link::InfoKind;
use rtnetlink::packet_route::neighbour::NeighbourHeader;
use rtnetlink::packet_route::route::{RouteLwEnCapType, RouteMetric};

use super::*;

fn link_message(family: AddressFamily, attributes: Vec<LinkAttribute>) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.interface_family = family;
    message.header.index = 5;
    message.header.link_layer_type = LinkLayerType::Ether;
    message.header.flags = LinkFlags::Up | LinkFlags::Running;
    message.attributes = attributes;
    message
}

fn vlan_attributes() -> Vec<LinkAttribute> {
    vec![
        LinkAttribute::IfName("eth0.100".into()),
        LinkAttribute::Mtu(1500),
        LinkAttribute::Address(vec![2, 0, 0, 0, 0, 9]),
        LinkAttribute::Link(3),
        LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Vlan),
            LinkInfo::Data(InfoData::Vlan(vec![
                InfoVlan::Id(100),
                InfoVlan::Protocol(VlanProtocol::Ieee8021Q),
            ])),
        ]),
    ]
}

#[test]
fn a_vlan_link_names_its_lower_interface_and_tag() {
    let message = link_message(AddressFamily::Unspec, vlan_attributes());
    let Some(Event::Link(link)) = event(RouteNetlinkMessage::NewLink(message)) else { panic!("no link") };
    assert_eq!(link.vlan, Some(Vlan { lower: 3, id: 100, service_tag: false }));
    assert_eq!((link.name.as_str(), link.mac, link.running), ("eth0.100", Some([2, 0, 0, 0, 0, 9]), true));
}

#[test]
fn a_lower_interface_in_another_namespace_is_none_of_ours() {
    let mut attributes = vlan_attributes();
    attributes.push(LinkAttribute::LinkNetNsId(0));
    let message = link_message(AddressFamily::Unspec, attributes);
    let Some(Event::Link(link)) = event(RouteNetlinkMessage::NewLink(message)) else { panic!("no link") };
    assert_eq!(link.vlan, None);
}

#[test]
fn a_port_that_leaves_a_bridge_is_not_an_interface_that_vanishes() {
    let message = link_message(AddressFamily::Bridge, vlan_attributes());
    assert_eq!(event(RouteNetlinkMessage::DelLink(message.clone())), None);
    assert_eq!(event(RouteNetlinkMessage::NewLink(message)), None);
}

#[test]
fn a_partial_link_message_says_nothing() {
    let message = link_message(AddressFamily::Unspec, vec![LinkAttribute::IfName("wlan0".into())]);
    assert_eq!(event(RouteNetlinkMessage::NewLink(message)), None);
}

#[test]
fn of_a_point_to_point_address_the_local_end_counts() {
    let mut message = AddressMessage::default();
    message.header.family = AddressFamily::Inet;
    message.attributes = vec![
        AddressAttribute::Address([10, 0, 0, 2].into()),
        AddressAttribute::Local([10, 0, 0, 1].into()),
        AddressAttribute::Flags(AddressFlags::Tentative),
    ];
    let Some((key, facts)) = address(&message) else { panic!("no address") };
    assert_eq!(key.address, IpAddr::from([10, 0, 0, 1]));
    assert!(facts.unusable && facts.global && !facts.deprecated);
    message.attributes.pop();
    message.attributes.push(AddressAttribute::Flags(AddressFlags::Tentative | AddressFlags::Optimistic));
    assert!(!address(&message).unwrap().1.unusable, "optimistic addresses may be used");
}

#[test]
fn neighbours_tell_state_and_care_and_proxies_are_not_neighbours() {
    let mut message = NeighbourMessage::default();
    message.header = NeighbourHeader { ifindex: 2, state: Nud::Permanent, ..NeighbourHeader::default() };
    message.attributes = vec![
        NeighbourAttribute::Destination(NeighbourAddress::Inet([10, 0, 0, 9].into())),
        NeighbourAttribute::LinkLayerAddress(vec![2; 6]),
        NeighbourAttribute::ExtFlags(NeighbourExtFlags::Managed),
    ];
    let (_, entry) = neighbour(&message).unwrap();
    assert_eq!(entry, Neighbour { mac: Some([2; 6]), state: NeighbourState::Fixed, managed: true });
    message.header.flags = NeighbourFlags::Proxy;
    assert_eq!(neighbour(&message), None);
}

#[test]
fn a_default_route_has_the_empty_prefix() {
    let mut message = RouteMessage::default();
    message.header.address_family = AddressFamily::Inet6;
    let route = |message: &RouteMessage| event(RouteNetlinkMessage::DelRoute(message.clone()));
    assert_eq!(route(&message), Some(Event::Route("::/0".parse().unwrap())));
    message.header.flags = RouteFlags::Cloned;
    assert_eq!(route(&message), None, "a cached route is no route");
}

fn route_answer(kind: RouteType, attributes: Vec<RouteAttribute>) -> Answer {
    let mut message = RouteMessage::default();
    message.header.kind = kind;
    message.attributes = attributes;
    answer(IpAddr::from([10, 0, 0, 9]), &message)
}

#[test]
fn an_answer_tells_gateway_source_and_mtu() {
    let via = |attributes| match route_answer(RouteType::Unicast, attributes) {
        Answer::Via(via) => via,
        Answer::Refused(reason) => panic!("{reason}"),
    };
    let direct = via(vec![RouteAttribute::Oif(2)]);
    assert_eq!(direct.next_hop, IpAddr::from([10, 0, 0, 9]), "on the link");
    let far = via(vec![
        RouteAttribute::Oif(2),
        RouteAttribute::Via(RouteVia::Inet6("fe80::1".parse().unwrap())),
        RouteAttribute::PrefSource(RouteAddress::Inet([10, 0, 0, 1].into())),
        RouteAttribute::Metrics(vec![RouteMetric::Mtu(1400)]),
    ]);
    assert_eq!(far.next_hop, "fe80::1".parse::<IpAddr>().unwrap(), "IPv4 by an IPv6 gateway");
    assert_eq!((far.source, far.mtu), (Some([10, 0, 0, 1].into()), Some(1400)));
}

#[test]
fn what_is_no_unicast_way_is_refused_with_its_reason() {
    let refused = |kind, attributes| match route_answer(kind, attributes) {
        Answer::Refused(reason) => reason,
        Answer::Via(via) => panic!("{via:?}"),
    };
    assert_eq!(refused(RouteType::Local, vec![]), Unresolved::Local);
    assert_eq!(refused(RouteType::Broadcast, vec![]), Unresolved::NotUnicast);
    assert_eq!(refused(RouteType::BlackHole, vec![]), Unresolved::Blackhole);
    let encapsulated = vec![RouteAttribute::Oif(2), RouteAttribute::EncapType(RouteLwEnCapType::Mpls)];
    assert_eq!(refused(RouteType::Unicast, encapsulated), Unresolved::Encapsulated);
    assert!(matches!(refused(RouteType::Unicast, vec![]), Unresolved::LookUpFailed(_)));
    let errno = |number| refusal(&std::io::Error::from_raw_os_error(number));
    assert_eq!(errno(libc::ENETUNREACH), Unresolved::NoRoute);
    assert_eq!(errno(libc::EHOSTUNREACH), Unresolved::Unreachable);
    assert_eq!(errno(libc::EACCES), Unresolved::Prohibited);
}
