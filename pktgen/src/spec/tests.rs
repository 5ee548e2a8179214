use std::time::Duration;

use super::*;

const WHOLE: &str = "
interface: eth0
receive: backend:eth1
destinationMac: 02:00:00:00:00:02
size: [64, 594]
rate: 1.5M
ramp: 2s
duration: 10
packets: 1000000
order: random
sender: live-frames
sample: 64
traffic:
- {source: 10.1.0.0/24, destination: 10.96.0.10, destinationPorts: 53, flows: 100000}
- {protocol: tcp, source: fd00::/64, sourcePorts: 1000-1999, destination: fd00:96::/112, destinationPorts: 80-89}
";

fn spec(yaml: &str) -> Result<Spec, SpecError> {
    RawSpec::parse(yaml)?.try_into()
}

#[test]
fn a_whole_spec_is_read() {
    let error = spec(WHOLE).unwrap_err();
    // An IPv6 segment with its mark does not fit into 64 bytes.
    assert_eq!(error.to_string(), "size: 64: traffic[1] with its mark takes 96 bytes at least");
    let spec =
        spec(&WHOLE.replace("[64, 594]", "imix").replace("protocol: tcp, ", "").replace("imix", "[96, 594]"))
            .unwrap();
    assert_eq!(spec.rate, Rate::PerSecond(1_500_000));
    assert_eq!((spec.ramp, spec.bound.duration), (Duration::from_secs(2), Duration::from_secs(10)));
    assert_eq!((spec.bound.packets, spec.order, spec.sender), (1_000_000, Order::Random, Sender::LiveFrames));
    assert_eq!(spec.sizes, Sizes(vec![96, 594]));
    let receive = Destination { namespace: Some("backend".to_owned()), interface: "eth1".to_owned() };
    assert_eq!(spec.receive, Some(receive));
    assert_eq!(spec.traffic[0].source.at(0).to_string(), "10.1.0.1");
    assert_eq!(spec.traffic[0].source.at(254).to_string(), "10.1.0.1");
    assert_eq!(spec.traffic[1].source.at(1).to_string(), "fd00::2");
    assert_eq!(spec.traffic[1].destination_ports.at(13), 83);
    assert!(spec.is_marked());
}

#[test]
fn an_option_takes_the_place_of_a_field() {
    let file = RawSpec::parse(WHOLE).unwrap();
    let options = RawSpec { rate: Some("5k".to_owned()), ..RawSpec::default() };
    let both = options.over(file.clone());
    assert_eq!((both.rate.as_deref(), both.traffic), (Some("5k"), file.traffic));
}

#[test]
fn what_cannot_be_says_field_and_remedy() {
    let good = WHOLE.replace("[64, 594]", "imix").replace("tcp, ", "udp, ").replace("imix", "128");
    assert!(spec(&good).is_ok());
    let refused = [
        ("interface: eth0", "", "interface: name"),
        ("duration: 10\npackets: 1000000\n", "", "say when to stop"),
        ("duration: 10", "duration: 25h", "at most 24h"),
        ("rate: 1.5M", "rate: fast", "rate: fast: must be packets a second"),
        ("rate: 1.5M", "rate: max", "ramp: 2s: needs a rate"),
        ("rate: 1.5M", "rates: 1", "unknown field `rates`"),
        ("size: 128", "size: 20", "size: 20: must be imix"),
        ("flows: 100000}", "flows: 100000000}", "traffic[0].flows: 100000000: must be 1 to 4000000"),
        ("sourcePorts: 1000-1999", "sourcePorts: 9-1", "traffic[1].sourcePorts: 9-1: must be"),
        ("source: 10.1.0.0/24", "source: fd00::1", "is of another family than 10.96.0.10"),
        ("source: 10.1.0.0/24", "source: 10.1.0.1", "there are only 64512 sources"),
        ("destinationMac: 02:00:00:00:00:02", "", "next hop's MAC"),
        ("order: random", "order: by-chance", "must be one of turn, random"),
        ("receive: backend:eth1", "receive: ../x:eth1", "must be an interface"),
        ("interface: eth0", "interface: eth0\npcap: x.pcap", "and not both"),
    ];
    for (from, to, expected) in refused {
        assert!(good.contains(from), "{from}");
        let error = spec(&good.replace(from, to)).unwrap_err().to_string();
        assert!(error.contains(expected), "{to}: {error}");
    }
}

#[test]
fn a_bound_of_either_kind_is_enough() {
    let with = |bound: &str| {
        spec(&WHOLE.replace("[64, 594]", "128").replace("duration: 10\npackets: 1000000\n", bound))
    };
    assert_eq!(with("packets: 7\n").unwrap().bound.packets, 7);
    assert_eq!(with("duration: 500ms\n").unwrap().bound.duration, Duration::from_millis(500));
}

#[test]
fn imix_is_seven_four_and_one() {
    let sizes: Sizes = "IMIX".parse().unwrap();
    let count = |size| sizes.0.iter().filter(|one| **one == size).count();
    assert_eq!([count(64), count(594), count(1518)], [7, 4, 1]);
    assert_eq!((sizes.least(), sizes.most()), (64, 1518));
    assert!((sizes.mean() - 361.83).abs() < 0.01);
}

#[test]
fn networks_are_their_hosts() {
    let count = |text: &str| text.parse::<AddressRange>().unwrap().count();
    assert_eq!((count("10.0.0.0/30"), count("10.0.0.0/31"), count("10.0.0.9")), (2, 2, 1));
    assert_eq!((count("fd00::/126"), count("10.0.0.0/8")), (3, (1 << 24) - 2));
    assert_eq!((count("10.0.0.250-10.0.1.5"), count("fd00::1-fd00::a")), (12, 10));
    assert!("10.0.0.2-10.0.0.1".parse::<AddressRange>().is_err());
    assert!("10.0.0.2-fd00::1".parse::<AddressRange>().is_err());
    assert!("10.0.0.0/33".parse::<AddressRange>().is_err());
}
