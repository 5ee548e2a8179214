//! One address on one interface: looked for, announced, in somebody else's hands, or given up.
//!
//! ```text
//!          a peer answers        told to proceed              hears a peer, not defending
//!   Probing ───────────▶ Succeeding ───────────▶ Announced ────────────────────────────▶ Yielded
//!    ▲  │ └──────── nobody answers ───────────────▲                                         │
//!    │  ▼ a stranger answers                                                                │
//!  Conflicting (30 s)                                   ◀── Probing ◀── defending again ────┘
//! ```
//!
//! A *peer* is another gateway, a *stranger* any other host. Rules: RFC 5227 §2.1 and §2.4 for strangers. Two gateways
//! that announce one address differ in what they have seen of the cluster, mostly for a moment, so the one that hears the
//! other waits half a second before it speaks against it: if the address has moved, it is told so meanwhile.
//!
//! A peer that has the address still answers for it, and has flows that must find their way to it from the first packet
//! that comes here. So nothing is announced before whoever is told of the peer has made that way.

use super::{
    burst::Burst,
    event::{Before, L2Event},
    frame::{Claimed, Say},
    probe::{Probe, Step},
};
use penstock_dataplane::wire::EtherAddr;
use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

/// Until an address that a stranger has is looked for again.
const CONFLICT_RETRY: Duration = Duration::from_secs(30);
/// Between two defences against strangers: DEFEND_INTERVAL of RFC 5227 §2.4.
const DEFEND_INTERVAL: Duration = Duration::from_secs(10);
/// Between two defences against a peer.
const CONTEST_INTERVAL: Duration = Duration::from_secs(1);
/// How long the answer of a former owner to our probe may be under way; so long, it is not taken for a contest.
const LATE_ANSWER: Duration = Duration::from_secs(1);
/// How long the way to a former owner may take to be made.
const SUCCESSION: Duration = Duration::from_millis(500);
/// How long the news that the address has moved may take.
const CONTEST_DELAY: Duration = Duration::from_millis(500);

/// See the module.
#[derive(Debug)]
pub(super) struct Claim {
    address: IpAddr,
    interface: String,
    state: State,
    /// The stranger that was told of last, and when.
    stranger: Option<(EtherAddr, Instant)>,
    /// When the last defence against a peer was.
    defended: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Probing(Probe),
    /// A peer has it, and we go on by then.
    Succeeding {
        by: Instant,
    },
    Announced(Announced),
    Conflicting {
        again: Instant,
    },
    Yielded,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Announced {
    since: Instant,
    /// Whether a former owner has answered our probe.
    succeeds: bool,
    burst: Option<Burst>,
    /// When the next announcement without a reason is due.
    periodic: Option<Instant>,
    /// When the next defence against a peer is due.
    defend: Option<Instant>,
}

/// What goes for all claims.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manners {
    /// Whether an address is held against a peer.
    pub(super) defending: bool,
    /// How often an address is announced unasked, besides bursts.
    pub(super) gratuitous: Option<Duration>,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Send this.
    Say(Say),
    /// Tell this.
    Tell(L2Event),
}

impl Claim {
    /// A claim that begins now.
    pub(super) fn new(address: IpAddr, interface: &str, before: Before, now: Instant) -> Self {
        let (state, interface) = (State::Probing(Probe::new(before, now)), interface.to_owned());
        Self { address, interface, state, stranger: None, defended: None }
    }

    /// When something is to be done.
    pub(super) fn due(&self) -> Option<Instant> {
        match self.state {
            State::Probing(probe) => Some(probe.due()),
            State::Succeeding { by } => Some(by),
            State::Announced(Announced { burst, periodic, defend, .. }) => {
                burst.map(|burst| burst.due()).into_iter().chain(periodic).chain(defend).min()
            }
            State::Conflicting { again } => Some(again),
            State::Yielded => None,
        }
    }

    /// Whether questions for it are answered.
    pub(super) fn is_announced(&self) -> bool {
        matches!(self.state, State::Announced(_))
    }

    /// Whether it is left to a stranger.
    pub(super) fn is_conflicting(&self) -> bool {
        matches!(self.state, State::Conflicting { .. })
    }

    /// Does what is due.
    pub(super) fn tick(&mut self, now: Instant, manners: Manners, actions: &mut Vec<Action>) {
        match self.state {
            State::Probing(probe) if probe.due() <= now => match probe.step(now) {
                Step::Ask(next) => {
                    self.state = State::Probing(next);
                    actions.push(Action::Say(Say::Probe(self.address)));
                }
                Step::Silence => self.announce(false, now, manners, actions),
            },
            State::Succeeding { by } if by <= now => self.announce(true, now, manners, actions),
            State::Announced(announced) => {
                if let Some(next) = self.round(announced, now, manners) {
                    self.state = State::Announced(next);
                    actions.push(Action::Say(Say::Announce(self.address)));
                }
            }
            State::Conflicting { again } if again <= now => {
                self.probe_again(now);
                self.tick(now, manners, actions);
            }
            State::Probing(_) | State::Succeeding { .. } | State::Conflicting { .. } | State::Yielded => {}
        }
    }

    /// The way to the former owner is made.
    pub(super) fn proceed(&mut self, now: Instant, manners: Manners, actions: &mut Vec<Action>) {
        if let State::Succeeding { .. } = self.state {
            self.announce(true, now, manners, actions);
        }
    }

    /// The rounds of announcing that are due now are one: what follows, if one is.
    fn round(&mut self, announced: Announced, now: Instant, manners: Manners) -> Option<Announced> {
        let Announced { mut burst, mut periodic, mut defend, .. } = announced;
        let is_due = |at: &mut Instant| *at <= now;
        let defence = defend.take_if(is_due).is_some();
        let again = periodic.take_if(is_due).is_some();
        if defence {
            self.defended = Some(now);
            burst = Some(Burst::start(now));
        }
        if again {
            periodic = manners.gratuitous.map(|every| now + every);
        }
        let round = burst.take_if(|burst| burst.due() <= now);
        burst = burst.or_else(|| round?.sent(now));
        (round.is_some() || again).then_some(Announced { burst, periodic, defend, ..announced })
    }

    /// It is the interface's address that has changed: the neighbours are to be told.
    pub(super) fn refresh(&mut self, now: Instant) {
        match &mut self.state {
            State::Announced(announced) => announced.burst = Some(Burst::start(now)),
            State::Probing(_) | State::Succeeding { .. } | State::Conflicting { .. } | State::Yielded => {}
        }
    }

    /// It has been asked for once more: what a stranger has is looked for at once.
    pub(super) fn set_again(&mut self, now: Instant) {
        if let State::Conflicting { .. } = self.state {
            self.probe_again(now);
        }
    }

    /// This gateway defends its addresses again.
    pub(super) fn defend_again(&mut self, now: Instant) {
        if self.state == State::Yielded {
            self.state = State::Probing(Probe::new(Before::OneThatIsThere, now));
        }
    }

    /// Whether it is this host that the address is left to.
    pub(super) fn is_left_to(&self, mac: EtherAddr) -> bool {
        matches!(self.state, State::Conflicting { .. })
            && self.stranger.is_some_and(|(known, _)| known == mac)
    }

    /// Another host says that it has the address.
    pub(super) fn heard(
        &mut self,
        claimed: Claimed,
        is_peer: bool,
        now: Instant,
        manners: Manners,
        actions: &mut Vec<Action>,
    ) {
        let mac = claimed.ether;
        match (&mut self.state, is_peer) {
            (State::Probing(_), true) => {
                self.state = State::Succeeding { by: now + SUCCESSION };
                actions.push(Action::Tell(self.taking_over(mac)));
            }
            (State::Probing(_) | State::Succeeding { .. }, false) => {
                self.state = State::Conflicting { again: now + CONFLICT_RETRY };
                self.tell_of_stranger(mac, CONFLICT_RETRY, false, now, actions);
            }
            (State::Announced(announced), true)
                if claimed.is_answer && now < announced.since + LATE_ANSWER =>
            {
                if !std::mem::replace(&mut announced.succeeds, true) {
                    actions.push(Action::Tell(self.taking_over(mac)));
                }
            }
            (State::Announced(_), true) if !manners.defending => {
                self.state = State::Yielded;
                let (address, interface) = (self.address, self.interface.clone());
                actions.push(Action::Tell(L2Event::Yielded { address, interface, mac }));
            }
            (State::Announced(announced), true) => {
                let rested = self.defended.map(|last| last + CONTEST_INTERVAL);
                if announced.defend.is_none() {
                    announced.defend = Some((now + CONTEST_DELAY).max(rested.unwrap_or(now)));
                    let (address, interface) = (self.address, self.interface.clone());
                    actions.push(Action::Tell(L2Event::Contested { address, interface, mac }));
                }
            }
            (State::Announced(_), false) => {
                if self.tell_of_stranger(mac, DEFEND_INTERVAL, true, now, actions) {
                    actions.push(Action::Say(Say::Announce(self.address)));
                }
            }
            (State::Succeeding { .. }, true) | (State::Conflicting { .. } | State::Yielded, _) => {}
        }
    }

    fn taking_over(&self, mac: EtherAddr) -> L2Event {
        L2Event::TakingOver { address: self.address, interface: self.interface.clone(), mac }
    }

    fn announce(&mut self, succeeds: bool, now: Instant, manners: Manners, actions: &mut Vec<Action>) {
        let periodic = manners.gratuitous.map(|every| now + every);
        let burst = Some(Burst::start(now));
        self.state = State::Announced(Announced { since: now, succeeds, burst, periodic, defend: None });
        self.stranger = None;
        let (address, interface) = (self.address, self.interface.clone());
        actions.push(Action::Tell(L2Event::Announced { address, interface }));
        self.tick(now, manners, actions);
    }

    fn probe_again(&mut self, now: Instant) {
        self.state = State::Probing(Probe::new(Before::Nobody, now));
    }

    /// Tells of a stranger, unless it has been told of within `interval`. Whether it did.
    fn tell_of_stranger(
        &mut self,
        mac: EtherAddr,
        interval: Duration,
        announced: bool,
        now: Instant,
        actions: &mut Vec<Action>,
    ) -> bool {
        let is_known = self.stranger.is_some_and(|(_, told)| now < told + interval);
        let is_same = self.stranger.is_some_and(|(known, _)| known == mac);
        // Not announced, a new stranger is news; announced, a second one does not make us speak more often.
        if is_known && (is_same || announced) {
            return false;
        }
        self.stranger = Some((mac, now));
        let (address, interface) = (self.address, self.interface.clone());
        actions.push(Action::Tell(L2Event::Conflict { address, interface, mac, announced }));
        true
    }
}

#[cfg(test)]
mod tests;
