//! Path MTU discovery by the kernels of real peers: a router behind the gateway has a link of 1300 bytes, and says so.

use penstock_tests::require_root;

use super::{
    behind_router::{MTU, far_lab},
    family, says, start,
};

// S-151
#[test]
fn netns_a_router_with_a_smaller_link_is_heard_by_the_client() {
    require_root!("iperf3", "ss");
    let far = far_lab("narrow");
    let listens: Vec<_> = far.far.addresses.iter().map(|ip| std::net::SocketAddr::new(*ip, 5201)).collect();
    let log = far.lab.world.folder.path().join("iperf3.log");
    let _server = start(&far.far.namespace, "iperf3 -s", &log, &listens);
    let client = &far.lab.world.client;
    for vip in far.vips.iter().copied() {
        let known = |text: &str| text.contains(&format!("mtu {MTU}"));
        let before = says(client, &format!("ip route get {vip}"));
        assert!(!known(&before), "{before}");
        let text = says(client, &format!("iperf3 {} -c {vip} -n 5M -J", family(vip)));
        assert!(text.contains("\"sum_received\""), "{text}");
        let after = says(client, &format!("ip route get {vip}"));
        assert!(known(&after), "{after}");
    }
}
