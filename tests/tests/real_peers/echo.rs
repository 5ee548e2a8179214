//! ping: a VIP answers or not, as the setting says, and nobody's request goes to a backend.

use penstock_tests::{Lab, LabOptions, require_root};
use serde_json::json;

use super::{family, says, told};

// S-155
#[test]
fn netns_ping_follows_the_setting() {
    require_root!();
    let settings = [("ping1", None), ("ping2", Some("answer")), ("ping3", Some("reject"))];
    for (label, cluster_ip) in settings {
        let mut options = LabOptions::new(label);
        if let Some(setting) = cluster_ip {
            options.fields.insert("echo".to_owned(), json!({"clusterIP": setting}));
        }
        let lab = Lab::start(options).unwrap();
        let ping = |address, arguments: &str| {
            told(&lab.world.client, &format!("ping {} -c 3 -i 0.2 {arguments} {address}", family(address)))
        };
        const PATIENT: &str = "-W 20";
        for address in lab.service.load_balancer_ips.iter().copied() {
            // The longest that goes unfragmented, and with no hop to spare: the gateway is where it ends.
            for arguments in ["", "-s 1440", "-t 1"] {
                let (text, success) = ping(address, &format!("{PATIENT} {arguments}"));
                assert!(success && text.contains(" 0% packet loss"), "{text}");
                assert!(text.contains(&format!("from {address}")) && text.contains("ttl=64"), "{text}");
            }
        }
        for address in lab.service.cluster_ips.iter().copied() {
            let (text, success) = ping(address, if cluster_ip.is_some() { PATIENT } else { "-W 1" });
            match cluster_ip {
                Some("answer") => assert!(success && text.contains(" 0% packet loss"), "{text}"),
                Some(_) => {
                    assert!(text.contains("Port Unreachable") || text.contains("Port unreachable"), "{text}")
                }
                None => assert!(!success && text.contains(" 100% packet loss"), "{text}"),
            }
        }
        // The gateway's own address is the kernel's.
        for address in lab.world.plan.gateway_client_side() {
            assert!(
                says(&lab.world.client, &format!("ping -c 1 {PATIENT} {address}"))
                    .contains(" 0% packet loss")
            );
        }
    }
}
