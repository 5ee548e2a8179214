//! Gateways, a client and their switch in network namespaces, for [`netns_tests`](super::netns_tests). They need root;
//! where it is missing the tests are skipped, which is a failure where `CI=true`.
//!
//! ```text
//!  gateway client0 ─┐
//!  peer    client0 ─┼─ bridge ── eth0 client
//!  gateway client1 ─┴────────── eth1 client   (a wire of its own)
//! ```
//!
//! No gateway has an address; the client's kernel is the judge of what it hears.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    net::{IpAddr, UdpSocket},
    sync::mpsc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use nix::sched::{CloneFlags, setns};
use penstock_dataplane::wire::EtherAddr;
use tokio::sync::{mpsc::UnboundedReceiver, oneshot};

use super::{Announcer, Before, Interfaces, L2Event, Wanted};
use crate::netns::{Bridge, Namespace, Owner, VethOptions, create_bridge, create_veth};

pub(super) const GATEWAY: EtherAddr = EtherAddr([2, 0, 0, 0, 0, 1]);
pub(super) const GATEWAY_1: EtherAddr = EtherAddr([2, 0, 0, 0, 1, 1]);
pub(super) const PEER: EtherAddr = EtherAddr([2, 0, 0, 0, 0, 2]);
const CLIENT: EtherAddr = EtherAddr([2, 0, 0, 0, 0, 3]);
const CLIENT_1: EtherAddr = EtherAddr([2, 0, 0, 0, 1, 3]);

/// How long anything may take on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct Lab {
    pub(super) gateway: Namespace,
    pub(super) peer: Namespace,
    pub(super) client: Namespace,
    network: Namespace,
    bridge: Bridge,
}

impl Lab {
    /// `None` without root.
    pub(super) fn build(label: &str) -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "root tests must not be skipped in CI");
            eprintln!("skipped: needs root");
            return None;
        }
        let owner = Owner::new("pnl2");
        let namespace = |role: &str| Namespace::create(&owner, &format!("{label}-{role}")).unwrap();
        let network = namespace("net");
        let bridge = create_bridge(&network, "br0", 1500).unwrap();
        let lab = Self {
            gateway: namespace("gw"),
            peer: namespace("peer"),
            client: namespace("client"),
            network,
            bridge,
        };
        lab.plug("to-client", (&lab.client, "eth0", CLIENT));
        lab.plug("to-gateway", (&lab.gateway, "client0", GATEWAY));
        lab.plug("to-peer", (&lab.peer, "client0", PEER));
        let ends = ((&lab.gateway, "client1", GATEWAY_1.0), (&lab.client, "eth1", CLIENT_1.0));
        create_veth(ends.0, ends.1, VethOptions::default()).unwrap();
        for command in [
            "address add 192.0.2.1/24 dev eth0",
            "address add 2001:db8::1/64 dev eth0 nodad",
            "address add 198.51.100.1/24 dev eth1",
        ] {
            lab.client.ip(command).unwrap();
        }
        Some(lab)
    }

    /// Connects an interface to the switch.
    pub(super) fn plug(&self, port: &str, (namespace, name, mac): (&Namespace, &str, EtherAddr)) {
        let far = (&self.network, port, [2, 0, 0, 1, 0, mac.0[5]]);
        create_veth((namespace, name, mac.0), far, VethOptions::default()).unwrap();
        self.bridge.add(&self.network, port).unwrap();
    }

    /// Has the client's kernel find the link-layer address of `address` by its own means, from nothing; `None` if
    /// nobody answers.
    pub(super) fn resolves(&self, address: &str) -> Option<EtherAddr> {
        let _absent = self.client.ip(&format!("neigh del {address} dev eth0"));
        self.knock(address);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let shown = self.client.ip(&format!("neigh show {address}")).unwrap();
            if let Some(mac) = mac_in(&shown) {
                return Some(mac);
            }
            if shown.contains("FAILED") {
                return None;
            }
            assert!(Instant::now() < deadline, "{shown}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the client's kernel finds `expected` for `address`. It asks for three seconds, in which a gateway may
    /// get no core, and an order to a gateway takes its time.
    #[track_caller]
    pub(super) fn expect(&self, address: &str, expected: Option<EtherAddr>) {
        until(&format!("{address} at {expected:?}"), || self.resolves(address) == expected);
    }

    /// What the client's kernel takes to be the link-layer address of `address`, without asking anybody.
    pub(super) fn knows(&self, address: &str) -> Option<EtherAddr> {
        mac_in(&self.client.ip(&format!("neigh show {address} dev eth0")).unwrap())
    }

    /// Sends a packet to `address`.
    fn knock(&self, address: &str) {
        let to: IpAddr = address.parse().unwrap();
        let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        self.client.enter(|| UdpSocket::bind(any).unwrap().send_to(b"?", (to, 9)).unwrap()).unwrap();
    }
}

fn mac_in(shown: &str) -> Option<EtherAddr> {
    let mut words = shown.split_whitespace();
    words.find(|word| *word == "lladdr")?;
    words.next()?.parse().ok()
}

#[track_caller]
pub(super) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "not seen: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Runs a future on a thread and a runtime of its own, inside a namespace.
pub(super) fn inside<T: Send + 'static>(
    namespace: &Namespace,
    work: impl AsyncFnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    let file = File::open(namespace.path()).unwrap();
    std::thread::spawn(move || {
        setns(file, CloneFlags::CLONE_NEWNET).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(work())
    })
}

/// An announcer in a namespace.
pub(super) struct Speaker {
    pub(super) announcer: Announcer,
    events: UnboundedReceiver<L2Event>,
    thread: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Speaker {
    pub(super) fn start(namespace: &Namespace, interfaces: &[&str], gratuitous: Option<Duration>) -> Self {
        let interfaces = interfaces.iter().map(|name| (*name).to_owned()).collect();
        let (stop, stopped) = oneshot::channel();
        let (give, take) = mpsc::channel();
        let thread = inside(namespace, async move || {
            give.send(Announcer::start(interfaces, gratuitous).unwrap()).unwrap();
            let _stopped = stopped.await;
        });
        let (announcer, events) = take.recv().unwrap();
        Self { announcer, events, thread: Some((stop, thread)) }
    }

    /// Announces these addresses on these interfaces; none are all.
    pub(super) fn set(&self, addresses: &str, interfaces: &[&str], before: Before) {
        let names: BTreeSet<_> = interfaces.iter().map(|name| (*name).to_owned()).collect();
        let interfaces = if names.is_empty() { Interfaces::All } else { Interfaces::Named(names) };
        let wanted = Wanted { interfaces, before };
        let all = addresses.split_whitespace().map(|address| (address.parse().unwrap(), wanted.clone()));
        self.announcer.set(all.collect::<BTreeMap<_, _>>());
    }

    /// The next event.
    pub(super) fn event(&mut self) -> L2Event {
        let mut event = None;
        until("an event", || {
            event = self.events.try_recv().ok();
            event.is_some()
        });
        event.unwrap()
    }

    /// The event that is there, if one is.
    pub(super) fn has_event(&mut self) -> Option<L2Event> {
        self.events.try_recv().ok()
    }

    /// Waits until so many addresses are announced for the first time, by nobody before.
    pub(super) fn settle(&mut self, count: usize) {
        for _ in 0..count {
            let event = self.event();
            assert!(matches!(event, L2Event::Announced { .. }), "{event}");
        }
    }
}

impl Drop for Speaker {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.thread.take() {
            let _gone = stop.send(());
            let _panicked = thread.join();
        }
    }
}
