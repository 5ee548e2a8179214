//! Many claims: interfaces, loss, peers.

use super::*;
use crate::l2::{
    Before, Interfaces, L2Event,
    frame::{Asker, Claimed},
};

const OWN: [EtherAddr; 2] = [EtherAddr([2, 0, 0, 0, 0, 1]), EtherAddr([2, 0, 0, 0, 0, 2])];
const CLIENT: EtherAddr = EtherAddr([2, 0, 0, 0, 0, 7]);
const PEER: EtherAddr = EtherAddr([2, 0, 0, 0, 0, 9]);

struct World {
    now: Instant,
    claims: Claims,
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// `ADDRESS` or `ADDRESS@INTERFACE`, separated by blanks.
fn wanted(text: &str) -> BTreeMap<IpAddr, Wanted> {
    let one = |word: &str| {
        let (address, interfaces) = match word.split_once('@') {
            Some((address, name)) => (address, Interfaces::Named([name.to_owned()].into())),
            None => (word, Interfaces::All),
        };
        (ip(address), Wanted { interfaces, before: Before::OneThatIsGone })
    };
    text.split_whitespace().map(one).collect()
}

impl World {
    /// Two interfaces that are up.
    fn new(gratuitous: Option<Duration>) -> Self {
        let mut claims = Claims::new(vec!["eth0".into(), "eth1".into()], gratuitous);
        let now = Instant::now();
        claims.up(0, OWN[0], now);
        claims.up(1, OWN[1], now);
        Self { now, claims }
    }

    fn set(&mut self, text: &str) {
        self.claims.set(wanted(text), self.now);
    }

    /// What is done while so much time goes by.
    fn pass(&mut self, ms: u64) -> Vec<(Port, Action)> {
        let end = self.now + Duration::from_millis(ms);
        while let Some(due) = self.claims.next().filter(|due| *due <= end) {
            self.claims.tick(due, 1);
        }
        self.now = end;
        std::mem::take(&mut self.claims.actions)
    }

    fn announcements(&mut self, ms: u64) -> Vec<(Port, IpAddr)> {
        let actions = self.pass(ms);
        let announced = actions.into_iter().filter_map(|(port, action)| match action {
            Action::Say(Say::Announce(address)) => Some((port, address)),
            _ => None,
        });
        announced.collect()
    }

    /// Whether a question is answered.
    fn answers(&mut self, port: Port, address: &str, ether: EtherAddr) -> bool {
        let asker = Asker { ether, address: ip("192.0.2.1") };
        let asked = Heard { asked: Some((ip(address), asker)), claimed: None };
        self.claims.heard(port, asked, self.now);
        let answer = (port, Action::Say(Say::Answer(ip(address), asker)));
        let actions = std::mem::take(&mut self.claims.actions);
        assert!(actions.is_empty() || actions == [answer]);
        !actions.is_empty()
    }

    fn hears(&mut self, port: Port, address: &str, ether: EtherAddr) -> Vec<(Port, Action)> {
        let claimed = Claimed { address: ip(address), ether, is_answer: false };
        self.claims.heard(port, Heard { asked: None, claimed: Some(claimed) }, self.now);
        std::mem::take(&mut self.claims.actions)
    }
}

// S-189
#[test]
fn questions_are_answered_for_owned_addresses_on_permitted_interfaces() {
    let mut world = World::new(None);
    world.set("192.0.2.10@eth0 192.0.2.11 2001:db8::10@eth1");
    assert!(!world.answers(0, "192.0.2.10", CLIENT), "it is still being looked for");
    world.pass(100);
    for (address, expected) in [
        ("192.0.2.10", [true, false]),
        ("192.0.2.11", [true, true]),
        ("2001:db8::10", [false, true]),
        ("192.0.2.12", [false, false]),
    ] {
        assert_eq!([0, 1].map(|port| world.answers(port, address, CLIENT)), expected, "{address}");
    }
    assert!(!world.answers(0, "192.0.2.11", OWN[1]), "our other interface is on the same wire");
}

// S-191
#[test]
fn what_is_given_up_is_silent_at_once() {
    let mut world = World::new(None);
    world.set("192.0.2.10 192.0.2.11");
    assert_eq!(world.announcements(40).len(), 4);
    world.set("192.0.2.11");
    assert!(!world.answers(0, "192.0.2.10", CLIENT) && world.answers(0, "192.0.2.11", CLIENT));
    assert_eq!(world.announcements(1200), [(0, ip("192.0.2.11")), (1, ip("192.0.2.11"))]);
    world.set("");
    assert_eq!((world.pass(60_000), world.claims.next()), (vec![], None));
}

// S-191
#[test]
fn an_interface_that_is_no_longer_permitted_is_silent_at_once() {
    let mut world = World::new(None);
    world.set("192.0.2.10");
    world.pass(40);
    world.set("192.0.2.10@eth1");
    assert!(!world.answers(0, "192.0.2.10", CLIENT) && world.answers(1, "192.0.2.10", CLIENT));
    assert_eq!(
        world.announcements(1200),
        [(1, ip("192.0.2.10"))],
        "the burst goes on, and does not begin anew"
    );
}

// S-230
#[test]
fn every_owned_address_is_announced_periodically_where_it_is_permitted() {
    let mut world = World::new(Some(Duration::from_secs(100)));
    world.set("192.0.2.10@eth0 192.0.2.11 2001:db8::10@eth1");
    world.announcements(10_000);
    let all = [(0, "192.0.2.10"), (0, "192.0.2.11"), (1, "192.0.2.11"), (1, "2001:db8::10")];
    let all: BTreeSet<_> = all.map(|(port, address)| (port, ip(address))).into();
    for _ in 0..3 {
        let announced = world.announcements(100_000);
        assert_eq!((announced.len(), announced.into_iter().collect::<BTreeSet<_>>()), (4, all.clone()));
    }
    let mut world = World::new(None);
    world.set("192.0.2.10");
    world.announcements(10_000);
    assert_eq!(world.announcements(1_000_000), []);
}

#[test]
fn our_own_announcements_on_another_interface_are_nobody_elses() {
    let mut world = World::new(None);
    world.set("192.0.2.10");
    world.pass(10_000);
    assert_eq!(world.hears(0, "192.0.2.10", OWN[1]), []);
    assert_eq!(world.hears(0, "192.0.2.10", OWN[0]), []);
    assert_eq!(world.hears(0, "192.0.2.99", CLIENT), [], "not ours");
    assert_eq!(world.hears(0, "192.0.2.10", CLIENT).len(), 2);
}

#[test]
fn an_interface_that_comes_back_begins_anew_and_a_new_mac_is_told() {
    let mut world = World::new(None);
    world.set("192.0.2.10@eth0");
    world.pass(10_000);
    world.claims.up(0, CLIENT, world.now);
    assert_eq!(world.announcements(1), [(0, ip("192.0.2.10"))]);
    world.pass(10_000);
    world.claims.down(0);
    assert!(!world.answers(0, "192.0.2.10", PEER));
    assert_eq!(world.pass(10_000), []);
    world.claims.up(0, OWN[0], world.now);
    let actions = world.pass(35);
    assert_eq!(actions[0], (0, Action::Say(Say::Probe(ip("192.0.2.10")))));
    assert_eq!(actions.len(), 3, "probe, event, announcement");
}

#[test]
fn a_stranger_that_turns_out_to_be_a_gateway_is_a_former_owner() {
    let mut world = World::new(None);
    world.set("192.0.2.10@eth0");
    world.pass(1);
    assert!(matches!(world.hears(0, "192.0.2.10", PEER)[..], [(0, Action::Tell(L2Event::Conflict { .. }))]));
    world.claims.add_peers([PEER].into(), world.now);
    assert_eq!(world.pass(1), [(0, Action::Say(Say::Probe(ip("192.0.2.10"))))]);
    let told = world.hears(0, "192.0.2.10", PEER);
    let expected = L2Event::TakingOver { address: ip("192.0.2.10"), interface: "eth0".into(), mac: PEER };
    assert_eq!(told, [(0, Action::Tell(expected))]);
    assert!(!world.answers(0, "192.0.2.10", CLIENT), "the former owner does");
    world.claims.proceed(&[ip("192.0.2.11")].into(), world.now);
    assert_eq!(world.pass(0), [], "another one is meant");
    world.claims.proceed(&[ip("192.0.2.10")].into(), world.now);
    assert_eq!(world.pass(0).len(), 2, "event, announcement");
    assert!(world.answers(0, "192.0.2.10", CLIENT));
    // A gateway that is not heard of any more is still no stranger.
    world.claims.add_peers(BTreeSet::new(), world.now);
    assert!(matches!(world.hears(0, "192.0.2.10", PEER)[..], [(0, Action::Tell(L2Event::Contested { .. }))]));
}

#[test]
fn defending_again_looks_for_what_was_given_up() {
    let mut world = World::new(None);
    world.set("192.0.2.10@eth0 192.0.2.11@eth0");
    world.pass(10_000);
    world.claims.add_peers([PEER].into(), world.now);
    world.claims.set_defending(false, world.now);
    assert!(matches!(world.hears(0, "192.0.2.10", PEER)[..], [(0, Action::Tell(L2Event::Yielded { .. }))]));
    assert!(!world.answers(0, "192.0.2.10", CLIENT) && world.answers(0, "192.0.2.11", CLIENT));
    world.set("192.0.2.10@eth0 192.0.2.11@eth0");
    assert_eq!(world.pass(60_000), []);
    world.claims.set_defending(true, world.now);
    assert_eq!(world.pass(0), [(0, Action::Say(Say::Probe(ip("192.0.2.10"))))]);
    world.pass(150);
    assert!(world.answers(0, "192.0.2.10", CLIENT));
}

#[test]
fn the_groups_to_listen_to_are_those_of_the_claims() {
    let mut world = World::new(None);
    world.set("192.0.2.10 2001:db8::1:10@eth0 2001:db8::2:10@eth0 2001:db8::11@eth1");
    let groups = |port| world.claims.groups(port).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(groups(0), ["ff02::1:ff01:10", "ff02::1:ff02:10"]);
    assert_eq!(groups(1), ["ff02::1:ff00:11"]);
}

#[test]
fn ten_thousand_addresses_are_served_in_batches() {
    let mut world = World::new(None);
    let all = (0..10_000u32).map(|n| {
        let address = IpAddr::from((0x0a00_0000 + n).to_be_bytes());
        (
            address,
            Wanted {
                interfaces: Interfaces::Named(["eth0".to_owned()].into()),
                before: Before::OneThatIsGone,
            },
        )
    });
    world.claims.set(all.collect(), world.now);
    world.claims.tick(world.now, 64);
    assert_eq!(world.claims.actions.len(), 64);
    assert_eq!(world.claims.next(), Some(world.now), "there is more to do at once");
}
