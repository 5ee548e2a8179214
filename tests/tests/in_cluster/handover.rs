//! An address changes hands: its gateway is asked to stop, or dies.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use penstock_tests::{
    KeepAlive, require_cluster,
    site::{Gateway, GatewayOptions, Load, Network, Overheard, Site},
};
use serde_json::json;

use crate::{
    say,
    shared::on_site,
    steps::{self, PATIENCE},
};

/// A gateway that is asked to stop has handed over by then.
const PLANNED: Duration = Duration::from_millis(200);

/// Long-lived connections of each family.
const CONNECTIONS: usize = 5;

/// How long connections go on after the handover: less than `announce.drain`.
const IN_DRAIN: Duration = Duration::from_millis(1500);

#[test]
fn a_gateway_that_is_asked_to_stop_hands_over_at_once_and_loses_nothing() {
    require_cluster!();
    let namespace = "planned";
    on_site(namespace, |site| {
        let mut gateways = site.start_gateways(&GatewayOptions::default()).unwrap();
        let (targets, owner) = serve(site, namespace);
        let other = 3 - owner;
        let heard = Overheard::start(site.client(), "eth0").unwrap();
        let load = Load::start(site.client(), &targets, 200).unwrap();
        let connections = Connections::open(site, &targets);
        std::thread::sleep(Duration::from_millis(500));

        let leaving = gateways.iter_mut().find(|gateway| gateway.number == owner).unwrap();
        let (asked, asks) = connections.use_while(|| {
            let asked = leaving.ask_to_end();
            std::thread::sleep(IN_DRAIN);
            asked
        });
        leaving.wait_until_it_ends().unwrap();
        std::thread::sleep(Duration::from_millis(500));
        let outcome = load.stop();
        let mut slowest = Duration::ZERO;
        for target in &targets {
            let first = heard.first(target.ip(), Network::gateway_mac(other), asked, PATIENCE);
            let took = first.unwrap().at - asked;
            slowest = slowest.max(took);
        }
        say(&format!(
            "planned stop: handed over in {slowest:?}; {} requests, the slowest {:?}; {} on {} kept connections",
            outcome.answered(),
            outcome.slowest,
            asks,
            2 * CONNECTIONS,
        ));
        outcome.all_answered().unwrap_or_else(|error| panic!("{error:#}\n{}", steps::logs(site)));
        assert!(slowest <= PLANNED, "handed over after {slowest:?}\n{}", steps::logs(site));
        steps::wait_for_owner(site, namespace, "web", other);
    });
}

#[test]
fn a_gateway_that_dies_is_replaced_within_five_seconds() {
    require_cluster!();
    on_site("killed", |site| is_replaced(site, "killed", &GatewayOptions::default(), Duration::from_secs(5)));
}

#[test]
fn a_gateway_that_dies_is_replaced_within_two_seconds_by_setting() {
    require_cluster!();
    let options = GatewayOptions::announce(json!({"leaseDuration": "1s", "renewInterval": "250ms"}));
    on_site("quick", |site| is_replaced(site, "quick", &options, Duration::from_secs(2)));
}

fn is_replaced(site: &Site, namespace: &str, options: &GatewayOptions, limit: Duration) {
    let mut gateways = site.start_gateways(options).unwrap();
    let (targets, owner) = serve(site, namespace);
    let other = 3 - owner;
    let heard = Overheard::start(site.client(), "eth0").unwrap();
    let load = Load::start(site.client(), &targets, 50).unwrap();
    std::thread::sleep(Duration::from_secs(1));
    load.so_far().all_answered().unwrap();

    let dying = gateways.iter_mut().find(|gateway| gateway.number == owner).unwrap();
    let killed = dying.kill().unwrap();
    let taken = targets.iter().map(|target| {
        heard.first(target.ip(), Network::gateway_mac(other), killed, PATIENCE).unwrap().at - killed
    });
    let taken = taken.max().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let outcome = load.stop();
    let last = outcome.failures.iter().map(|(began, _)| began.saturating_duration_since(killed)).max();
    say(&format!(
        "killed: taken over after {taken:?}; {} requests answered, {} failed, the last of them sent after {last:?}",
        outcome.answered(),
        outcome.failures.len(),
    ));
    assert!(taken <= limit, "taken over after {taken:?}\n{}", steps::logs(site));
    assert!(
        last.is_none_or(|last| last <= limit),
        "requests failed {last:?} after the end\n{}",
        steps::logs(site)
    );
    steps::wait_until_served(site, &targets).unwrap();
    steps::wait_for_owner(site, namespace, "web", other);

    // Back again: a gateway that joins takes nothing from one that serves, or takes it over whole.
    let load = Load::start(site.client(), &targets, 50).unwrap();
    let number = dying.number;
    *dying = site.start_gateway(number, options).unwrap();
    std::thread::sleep(Duration::from_secs(2));
    load.stop().all_answered().unwrap_or_else(|error| panic!("{error:#}\n{}", steps::logs(site)));
    check(&mut gateways);
}

fn serve(site: &Site, namespace: &str) -> (Vec<SocketAddr>, u8) {
    steps::offer_addresses(site);
    let targets = steps::serve(site, namespace, "web", 3);
    let owner = steps::owner(site, namespace, "web");
    (targets, owner)
}

fn check(gateways: &mut [Gateway]) {
    for gateway in gateways {
        gateway.check().unwrap();
    }
}

/// Connections that stay open.
struct Connections(Vec<(SocketAddr, KeepAlive)>);

impl Connections {
    fn open(site: &Site, targets: &[SocketAddr]) -> Connections {
        let open = |target: &SocketAddr| {
            let mut connection = KeepAlive::connect(*target)?;
            connection.ask()?;
            Ok::<_, std::io::Error>((*target, connection))
        };
        let all = targets.iter().flat_map(|target| std::iter::repeat_n(target, CONNECTIONS));
        let all: Vec<_> = all.map(|target| site.client().enter(|| open(target)).unwrap().unwrap()).collect();
        Connections(all)
    }

    /// Asks on each of them every 20 ms until `work` is done; returns its result and how many answers there were. An
    /// answer that does not come fails the test.
    fn use_while<T>(mut self, work: impl FnOnce() -> T) -> (T, usize) {
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| {
                let began = Instant::now();
                let mut answers = 0;
                while !done.load(Ordering::Acquire) {
                    for (target, connection) in &mut self.0 {
                        connection.ask().unwrap_or_else(|error| {
                            panic!("a connection to {target} broke after {:?}: {error}", began.elapsed())
                        });
                        answers += 1;
                    }
                    std::thread::sleep(Duration::from_millis(20));
                }
                answers
            });
            let result = work();
            done.store(true, Ordering::Release);
            (result, asking.join().unwrap())
        })
    }
}
