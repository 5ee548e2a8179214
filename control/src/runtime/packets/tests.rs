//! The start, in a network namespace. These tests need root; without it they are skipped, except where `CI=true`.

use super::{common::Common, start::start_as};
use crate::{
    config::Config,
    lane::Decision,
    netns::{Namespace, Owner, VethOptions, create_veth},
    routes::Routes,
};

/// Whatever drivers have promised: a veth's sockets copy.
#[test]
fn netns_the_lane_follows_what_sockets_are() {
    if !nix::unistd::geteuid().is_root() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "CI=true, and not root");
        return;
    }
    let owner = Owner::new("psk-start");
    let [here, there] = ["here", "there"].map(|role| Namespace::create(&owner, role).unwrap());
    // Not an interface of the machine's: what is mounted at /sys is that of its namespace.
    let name = "psk-start";
    let [a, b] = [(&here, name, [2, 0, 0, 0, 0, 1]), (&there, name, [2, 0, 0, 0, 0, 2])];
    create_veth(a, b, VethOptions { queues: 2, ..VethOptions::default() }).unwrap();
    let text =
        "interfaces: [{name: psk-start}]\nworkers: {count: 2}\ntables: {ipv4Flows: 1024, ipv6Flows: 1024}";
    let config = |further: &str| Config::from_yaml(&format!("{text}{further}"), "test.yaml", "n1").unwrap();
    here.enter(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let routes = runtime.block_on(Routes::open(vec![(0, name.to_owned())])).unwrap();
        let interfaces = &routes.view().interfaces;
        let decided = |expected, config: &Config| {
            let started = start_as(expected, config, interfaces, &Common::new(config)).unwrap();
            assert_eq!(started.workers.len(), 2);
            assert_eq!(started.publisher.generation(), started.publisher.oldest_in_use());
            started.lane.decision()
        };
        assert_eq!(decided(Decision::ZeroCopy, &config("")), Decision::Copying);
        assert_eq!(decided(Decision::Copying, &config("")), Decision::Copying);
        assert_eq!(decided(Decision::Unwanted, &config("\nfastLane: off")), Decision::Unwanted);
    })
    .unwrap();
}
