//! dig asks dnsmasq: over UDP, in answers of one packet and of several, over TCP, and from one to the other.

use std::{collections::BTreeSet, net::IpAddr};

use penstock::netns::Child;
use penstock_tests::{Lab, LabOptions, require_root};

use super::{port, says, sockets_of, start};

const TARGET_PORT: u16 = 8053;
/// Strings of 200 characters: more than one packet, and more than dig asks for unless told.
const STRINGS: usize = 15;

/// A name server on each backend. All know `www.lab.test` and `long.lab.test`; `who.lab.test` tells which it is.
fn start_servers(lab: &Lab) -> Vec<Child> {
    let serve = |number: u8| {
        let listens = sockets_of(lab, number, TARGET_PORT);
        let addresses: String =
            listens.iter().map(|socket| format!("listen-address={}\n", socket.ip())).collect();
        let long: String =
            (0..STRINGS).map(|index| format!("txt-record=long.lab.test,{index:0>200}\n")).collect();
        let config = format!(
            "port={TARGET_PORT}\nbind-interfaces\n{addresses}keep-in-foreground\nlog-facility=-\nuser=root\npid-file=\n\
             no-resolv\nno-hosts\nedns-packet-max=4096\naddress=/www.lab.test/192.0.2.80\n\
             address=/www.lab.test/2001:db8::80\ntxt-record=who.lab.test,backend-{number}\n\
             {long}"
        );
        let file = lab.world.folder.path().join(format!("dnsmasq-{number}.conf"));
        std::fs::write(&file, config).unwrap();
        let log = file.with_extension("log");
        let namespace = &lab.world.backend(number).unwrap().namespace;
        start(namespace, &format!("dnsmasq -C {}", file.display()), &log, &listens)
    };
    lab.world.backends.iter().map(|backend| serve(backend.number)).collect()
}

fn dig(lab: &Lab, server: IpAddr, what: &str) -> String {
    says(&lab.world.client, &format!("dig +time=15 +tries=2 @{server} {what}"))
}

#[test]
fn netns_dig_is_answered_by_dnsmasq() {
    require_root!("dig", "dnsmasq", "ss");
    for (label, workers) in [("dig", 1), ("dig2", 2)] {
        let lab = Lab::start(LabOptions { workers, ..LabOptions::new(label) }).unwrap();
        let _servers = start_servers(&lab);
        let ports = vec![port("udp", "UDP", 53, TARGET_PORT), port("tcp", "TCP", 53, TARGET_PORT)];
        let service = lab.add_service("names", 20, ports, &lab.endpoints(&[1, 2, 3])).unwrap();
        for vip in [service.cluster_ips, service.load_balancer_ips].concat() {
            let answer = dig(&lab, vip, "www.lab.test A www.lab.test AAAA");
            assert!(answer.contains("192.0.2.80") && answer.contains("2001:db8::80"), "{answer}");
            assert!(answer.contains(&format!("SERVER: {vip}#53")), "{answer}");
            // Each question comes from another port, so all backends are asked.
            for over in ["+notcp", "+tcp"] {
                let questions = "who.lab.test TXT ".repeat(30);
                let text = dig(&lab, vip, &format!("+short {over} {questions}"));
                let answers: Vec<_> = text.lines().skip(1).collect();
                assert_eq!(answers.len(), 30, "{text}");
                let who: BTreeSet<_> = answers.into_iter().collect();
                assert_eq!(
                    who,
                    BTreeSet::from(["\"backend-1\"", "\"backend-2\"", "\"backend-3\""]),
                    "{text}"
                );
            }
            // One datagram of three fragments.
            let long = dig(&lab, vip, "+bufsize=4096 +notcp +ignore long.lab.test TXT");
            assert!(long.contains(&format!("\"{:0>200}\"", STRINGS - 1)), "{long}");
            assert!(long.contains("(UDP)") && !long.contains("Truncated"), "{long}");
            // Truncated, and asked again over TCP.
            let retried = dig(&lab, vip, "+bufsize=1232 long.lab.test TXT");
            assert!(retried.contains("retrying in TCP mode"), "{retried}");
            assert!(retried.contains(&format!("\"{:0>200}\"", STRINGS - 1)), "{retried}");
        }
    }
}
