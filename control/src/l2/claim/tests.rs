//! One claim through its states, at moments in milliseconds.

use super::*;

const PEER: EtherAddr = EtherAddr([2, 0, 0, 0, 0, 7]);
const STRANGER: EtherAddr = EtherAddr([2, 0, 0, 0, 0, 8]);
const OTHER: EtherAddr = EtherAddr([2, 0, 0, 0, 0, 9]);

struct World {
    start: Instant,
    claim: Claim,
    manners: Manners,
}

impl World {
    fn new(before: Before) -> Self {
        let start = Instant::now();
        let claim = Claim::new([192, 0, 2, 10].into(), "eth0", before, start);
        Self { start, claim, manners: Manners { defending: true, gratuitous: None } }
    }

    /// One that is announced, its burst over, at 10 s.
    fn announced() -> Self {
        let mut world = Self::new(Before::OneThatIsGone);
        world.until(10_000);
        world
    }

    fn at(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms)
    }

    /// What is done until then, each with its time.
    fn until(&mut self, ms: u64) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(due) = self.claim.due().filter(|due| *due <= self.at(ms)) {
            let mut actions = Vec::new();
            self.claim.tick(due, self.manners, &mut actions);
            let time = (due - self.start).as_millis();
            all.extend(actions.iter().map(|action| format!("{time} {}", shown(action))));
            assert!(self.claim.due() != Some(due), "time goes on");
        }
        all
    }

    fn proceeds(&mut self, ms: u64) -> Vec<String> {
        let mut actions = Vec::new();
        self.claim.proceed(self.at(ms), self.manners, &mut actions);
        actions.iter().map(shown).collect()
    }

    fn hears(&mut self, mac: EtherAddr, ms: u64) -> Vec<String> {
        self.hears_claim(mac, false, ms)
    }

    fn hears_claim(&mut self, ether: EtherAddr, is_answer: bool, ms: u64) -> Vec<String> {
        let mut actions = Vec::new();
        let claimed = Claimed { address: self.claim.address, ether, is_answer };
        self.claim.heard(claimed, ether == PEER, self.at(ms), self.manners, &mut actions);
        actions.iter().map(shown).collect()
    }
}

fn shown(action: &Action) -> String {
    match action {
        Action::Say(Say::Probe(_)) => "probe".to_owned(),
        Action::Say(Say::Announce(_)) => "announce".to_owned(),
        Action::Say(Say::Answer(..)) => "answer".to_owned(),
        Action::Tell(L2Event::TakingOver { mac, .. }) => format!("after {mac}"),
        Action::Tell(L2Event::Announced { .. }) => "owner".to_owned(),
        Action::Tell(L2Event::Conflict { mac, announced, .. }) => format!("conflict {mac} {announced}"),
        Action::Tell(L2Event::Contested { mac, .. }) => format!("contested {mac}"),
        Action::Tell(L2Event::Yielded { mac, .. }) => format!("yielded {mac}"),
    }
}

// S-188
#[test]
fn an_address_is_looked_for_and_then_announced_in_five_rounds() {
    let mut new = World::new(Before::Nobody);
    assert_eq!(new.until(599), ["0 probe", "200 probe", "400 probe"]);
    let expected =
        ["600 owner", "600 announce", "1700 announce", "2800 announce", "3900 announce", "5000 announce"];
    assert_eq!(new.until(60_000), expected);
    let mut moved = World::new(Before::OneThatIsGone);
    let expected = [
        "0 probe",
        "30 owner",
        "30 announce",
        "1130 announce",
        "2230 announce",
        "3330 announce",
        "4430 announce",
    ];
    assert_eq!(moved.until(60_000), expected);
}

// S-230
#[test]
fn it_is_announced_again_and_again_only_if_that_is_asked_for() {
    let mut world = World::announced();
    assert_eq!(world.until(3_600_000), [""; 0]);
    let mut world = World::new(Before::OneThatIsGone);
    world.manners.gratuitous = Some(Duration::from_secs(60));
    world.until(10_000);
    assert_eq!(world.until(200_000), ["60030 announce", "120030 announce", "180030 announce"]);
}

#[test]
fn it_is_announced_when_the_way_to_its_former_owner_is_made_or_after_half_a_second() {
    for before in [Before::Nobody, Before::OneThatIsGone, Before::OneThatIsThere] {
        let mut world = World::new(before);
        world.until(0);
        assert_eq!(world.hears(PEER, 2), ["after 02:00:00:00:00:07"]);
        assert_eq!((world.hears(PEER, 3), world.until(10)), (vec![], vec![]));
        assert!(!world.claim.is_announced());
        assert_eq!(world.proceeds(10), ["owner", "announce"]);
        assert!(world.proceeds(11).is_empty());
        assert_eq!(world.until(1200), ["1110 announce"]);

        let mut world = World::new(before);
        world.until(0);
        world.hears(PEER, 2);
        assert_eq!(world.until(600), ["502 owner", "502 announce"]);
    }
    let mut world = World::new(Before::OneThatIsGone);
    world.until(0);
    world.hears(PEER, 2);
    assert_eq!(world.hears(STRANGER, 3), ["conflict 02:00:00:00:00:08 false"]);
    assert!(world.proceeds(4).is_empty());
}

#[test]
fn a_former_owner_may_be_late() {
    let mut world = World::new(Before::OneThatIsGone);
    world.manners.defending = false;
    assert_eq!(world.until(40), ["0 probe", "30 owner", "30 announce"]);
    assert_eq!(world.hears_claim(PEER, true, 41), ["after 02:00:00:00:00:07"]);
    assert_eq!(world.hears_claim(PEER, true, 42), [""; 0], "once");
    assert!(world.claim.is_announced());
    assert_eq!(world.until(1200), ["1130 announce"], "nobody is spoken against");
    // What comes unasked is no answer, nor is what comes too late.
    let mut world = World::new(Before::OneThatIsGone);
    world.until(40);
    assert_eq!(world.hears_claim(PEER, false, 41), ["contested 02:00:00:00:00:07"]);
    assert_eq!(World::announced().hears_claim(PEER, true, 10_000), ["contested 02:00:00:00:00:07"]);
}

#[test]
fn what_a_stranger_has_is_left_to_it_and_tried_again() {
    let mut world = World::new(Before::OneThatIsGone);
    world.until(0);
    assert_eq!(world.hears(STRANGER, 5), ["conflict 02:00:00:00:00:08 false"]);
    assert!(!world.claim.is_announced());
    assert_eq!(world.until(30_004), [""; 0]);
    assert_eq!(world.until(30_005), ["30005 probe"]);
    assert_eq!(world.hears(STRANGER, 30_010), ["conflict 02:00:00:00:00:08 false"]);
    // Set again, it is tried at once; the same stranger is not told of again so soon, another one is.
    world.claim.set_again(world.at(31_000));
    assert_eq!(world.until(31_000), ["31000 probe"]);
    assert_eq!(world.hears(STRANGER, 31_001), [""; 0]);
    world.claim.set_again(world.at(32_000));
    assert_eq!(world.until(32_000), ["32000 probe"]);
    assert_eq!(world.hears(OTHER, 32_001), ["conflict 02:00:00:00:00:09 false"]);
    // It has gone.
    let done = world.until(63_000);
    assert_eq!(done, ["62001 probe", "62201 probe", "62401 probe", "62601 owner", "62601 announce"]);
}

#[test]
fn a_stranger_is_spoken_against_at_most_every_ten_seconds() {
    let mut world = World::announced();
    assert_eq!(world.hears(STRANGER, 20_000), ["conflict 02:00:00:00:00:08 true", "announce"]);
    assert_eq!(world.hears(STRANGER, 20_001), [""; 0]);
    assert_eq!(world.hears(OTHER, 29_999), [""; 0]);
    assert_eq!(world.hears(STRANGER, 30_000), ["conflict 02:00:00:00:00:08 true", "announce"]);
    assert!(world.claim.is_announced());
}

#[test]
fn a_peer_is_spoken_against_after_half_a_second_and_at_most_every_second() {
    let mut world = World::announced();
    assert_eq!(world.hears(PEER, 20_000), ["contested 02:00:00:00:00:07"]);
    assert_eq!(world.hears(PEER, 20_100), [""; 0]);
    assert_eq!(world.until(20_550), ["20500 announce"]);
    // The peer answers back at once: not before a second has gone.
    assert_eq!(world.hears(PEER, 20_510), ["contested 02:00:00:00:00:07"]);
    assert_eq!(world.until(21_550), ["21500 announce"]);
    // Nobody speaks against it any more: the burst is ended.
    let rest = ["22600 announce", "23700 announce", "24800 announce", "25900 announce"];
    assert_eq!(world.until(60_000), rest);
    assert_eq!(world.hears(PEER, 61_000), ["contested 02:00:00:00:00:07"]);
}

#[test]
fn who_does_not_defend_yields_to_a_peer_but_not_to_a_stranger() {
    let mut world = World::announced();
    world.manners.defending = false;
    assert_eq!(world.hears(STRANGER, 20_000), ["conflict 02:00:00:00:00:08 true", "announce"]);
    assert_eq!(world.hears(PEER, 20_001), ["yielded 02:00:00:00:00:07"]);
    assert!(!world.claim.is_announced());
    assert_eq!(world.until(600_000), [""; 0]);
    assert_eq!(world.hears(PEER, 600_001), [""; 0]);
    world.manners.defending = true;
    world.claim.defend_again(world.at(700_000));
    assert_eq!(world.until(700_000), ["700000 probe"]);
    assert_eq!(world.hears(PEER, 700_001), ["after 02:00:00:00:00:07"]);
    assert_eq!(world.proceeds(700_002), ["owner", "announce"]);
}

#[test]
fn another_mac_is_told_by_a_burst() {
    let mut world = World::announced();
    world.claim.refresh(world.at(20_000));
    assert_eq!(world.until(22_000), ["20000 announce", "21100 announce"]);
}
