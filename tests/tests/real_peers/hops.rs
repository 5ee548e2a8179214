//! traceroute and tracepath through a VIP. The first hop is the gateway, under its own address; all that is behind it
//! is seen under the VIP, as behind any address translator (RFC 5508 §4.2): routers, and at last the backend.

use penstock_tests::{Lab, LabOptions, ports, require_root};
use std::net::IpAddr;

use super::{
    behind_router::{CLOSED, far_lab},
    family, gateway, says,
};

/// The addresses of each hop, `*` where nobody answered.
fn hops(text: &str) -> Vec<Vec<String>> {
    let mut hops: Vec<Vec<String>> = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let number = words.next().and_then(|word| word.trim_end_matches(['?', ':']).parse().ok());
        let Some(number @ 1usize..) = number else { continue };
        hops.resize(hops.len().max(number), Vec::new());
        // traceroute -n writes an address before the times of the probes it answered.
        let addresses = words.filter(|word| *word == "*" || word.parse::<IpAddr>().is_ok());
        hops[number - 1].extend(addresses.map(str::to_owned));
        hops[number - 1].dedup();
    }
    hops
}

fn traceroute(lab: &Lab, vip: IpAddr, arguments: &str) -> Vec<Vec<String>> {
    let line = format!("traceroute {} -n -w 15,0,0 -q 2 -m 8 {arguments} {vip}", family(vip));
    let text = says(&lab.world.client, &line);
    let hops = hops(&text);
    assert!(!hops.is_empty(), "{text}");
    hops
}

fn expect(what: &str, hops: &[Vec<String>], expected: &[IpAddr]) {
    let expected: Vec<_> = expected.iter().map(|address| vec![address.to_string()]).collect();
    assert_eq!(hops, expected, "{what}");
}

// S-204
#[test]
fn netns_traceroute_shows_the_gateway_and_then_the_vip() {
    require_root!("traceroute");
    let lab = Lab::start(LabOptions::new("trace")).unwrap();
    for vip in lab.service.load_balancer_ips.iter().copied() {
        let first = gateway(&lab, vip);
        expect("TCP", &traceroute(&lab, vip, &format!("-T -p {}", ports::HTTP.0)), &[first, vip]);
        // Nobody listens on the backends.
        expect("UDP", &traceroute(&lab, vip, &format!("-U -p {}", ports::UDP.0)), &[first, vip]);
        // Echo requests end at the gateway, as does what no backend serves.
        expect("ICMP", &traceroute(&lab, vip, "-I"), &[vip]);
        expect("a port without Service", &traceroute(&lab, vip, ""), &[vip]);
    }
}

// S-150, S-204
#[test]
fn netns_traceroute_and_tracepath_see_a_router_behind_the_gateway() {
    require_root!("traceroute", "tracepath");
    let far = far_lab("trace2");
    for vip in far.vips.iter().copied() {
        let first = gateway(&far.lab, vip);
        expect("TCP", &traceroute(&far.lab, vip, "-T -p 80"), &[first, vip, vip]);
        expect("UDP", &traceroute(&far.lab, vip, &format!("-U -p {CLOSED}")), &[first, vip, vip]);

        let line = format!("tracepath {} -n -m 6 -p {CLOSED} {vip}", family(vip));
        let text = says(&far.lab.world.client, &line);
        assert!(text.contains("Resume: pmtu 1300 hops 3"), "{text}");
        let hops = hops(&text);
        assert!(hops[0].contains(&first.to_string()), "{text}");
        assert_eq!(hops[1..], [[vip.to_string()], [vip.to_string()]], "{text}");
        assert!(text.contains("reached"), "{text}");
    }
}
