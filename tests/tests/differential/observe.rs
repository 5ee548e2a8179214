//! Puts probes to both gateways until what each does is known well enough to be compared.
//!
//! A gateway may send each flow to another backend, so a probe is many flows, each from another client; every fourth
//! repeats the client before it, to see affinity. Both gateways are sent the same flows. Flows are added until the
//! two agree or chance can no longer explain that they don't; what still differs is asked afresh, with more patience.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use anyhow::Result;

use crate::{
    arena::{Arena, Side},
    places::{self, Family},
    probe::{Destination, Probe},
    tries::{self, Outcome, Try},
};

/// Flows a probe, round by round. Of five backends, one is missed by all of them once in 10^12.
const ROUNDS: [usize; 6] = [4, 4, 8, 16, 32, 64];

/// Agreement on who serves is believed after so many rounds, where the oracle is all there is.
pub const FEW: usize = 2;

/// The same, where every backend that may serve must be seen: of three, one is missed once in 10^8.
pub const MANY: usize = 5;

/// How long a flow waits for an answer, and again where there is a disagreement.
const PATIENCE: [Duration; 2] = [Duration::from_millis(150), Duration::from_millis(2000)];

/// Where a backend saw a flow come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The client's own address.
    Kept,
    /// The gateway's.
    Translated,
    /// Neither: a fault.
    Other(IpAddr),
}

/// What a gateway did with the flows of a probe.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observation {
    pub backends: BTreeSet<SocketAddr>,
    pub sources: BTreeSet<Source>,
    /// The same, where a backend reached itself.
    pub hairpin: BTreeSet<Source>,
    pub health: BTreeSet<String>,
    pub rejected: bool,
    pub silent: bool,
    pub odd: BTreeSet<String>,
    /// Whether a client was sent to two backends.
    pub moved: bool,
    by_client: BTreeMap<IpAddr, SocketAddr>,
}

/// A probe of one of several cases.
#[derive(Debug, Clone)]
pub struct Question {
    pub case: usize,
    pub probe: Probe,
    pub destination: Destination,
    pub has_affinity: bool,
}

/// A probe with its answers.
#[derive(Debug, Clone)]
pub struct Compared {
    pub question: Question,
    pub kube: Observation,
    pub penstock: Observation,
}

impl fmt::Display for Observation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if !self.backends.is_empty() {
            let backends: Vec<_> = self.backends.iter().map(SocketAddr::to_string).collect();
            let moved = if self.moved { ", clients moved" } else { "" };
            parts.push(format!("served by {} (source {:?}{moved})", backends.join(" "), self.sources));
        }
        if !self.hairpin.is_empty() {
            parts.push(format!("by itself (source {:?})", self.hairpin));
        }
        parts.extend(self.health.iter().cloned());
        if self.rejected {
            parts.push("rejected".to_owned());
        }
        if self.silent {
            parts.push("dropped".to_owned());
        }
        parts.extend(self.odd.iter().map(|odd| format!("odd: {odd}")));
        f.write_str(&parts.join(" and "))
    }
}

impl fmt::Display for Compared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Question { probe, destination, .. } = &self.question;
        writeln!(f, "{probe} ({:?} {}):", destination.protocol, destination.address)?;
        write!(f, "  kube-proxy: {}\n  penstock:   {}", self.kube, self.penstock)
    }
}

impl Observation {
    fn enter(&mut self, one: &Try, outcome: &Outcome) {
        match outcome {
            Outcome::Answered { backend, peer } => {
                self.backends.insert(*backend);
                let source = match peer.ip() {
                    ip if ip == one.from.ip() => Source::Kept,
                    ip if ip == places::snat_address(Family::of(ip)) => Source::Translated,
                    ip => Source::Other(ip),
                };
                let to_itself = backend.ip() == one.from.ip();
                if to_itself { &mut self.hairpin } else { &mut self.sources }.insert(source);
                let before = self.by_client.insert(one.from.ip(), *backend);
                self.moved |= before.is_some_and(|before| before != *backend);
            }
            Outcome::Health(said) => drop(self.health.insert(said.clone())),
            Outcome::Rejected => self.rejected = true,
            Outcome::Silent => self.silent = true,
            Outcome::Odd(what) => drop(self.odd.insert(what.clone())),
        }
    }
}

impl Compared {
    /// Whether the two did the same.
    pub fn agree(&self) -> bool {
        let same = |of: fn(&Observation) -> (bool, bool)| of(&self.kube) == of(&self.penstock);
        self.kube.backends == self.penstock.backends
            && self.kube.sources == self.penstock.sources
            && self.kube.hairpin == self.penstock.hairpin
            && self.kube.health == self.penstock.health
            && self.kube.odd == self.penstock.odd
            && same(|seen| (seen.rejected, seen.silent))
            // Without affinity it is chance at one gateway and a hash of the whole tuple at the other.
            && (!self.question.has_affinity || self.kube.moved == self.penstock.moved)
    }
}

impl Compared {
    /// Whether flows of round `round` can tell more.
    fn needs(&self, round: usize, at_least: usize, is_explained: bool) -> bool {
        let serve = [&self.kube, &self.penstock].map(|seen| !seen.backends.is_empty());
        match (serve, self.agree()) {
            ([false, false], true) => round < 1,
            _ if is_explained => round < at_least,
            // Only where both serve can further flows make the two alike.
            ([true, true], false) => true,
            ([false, true] | [true, false], _) => round < FEW,
            ([false, false], false) => round < FEW,
            ([true, true], true) => round < at_least,
        }
    }
}

/// Numbers clients and their ports, so that every flow is new.
#[derive(Debug, Default)]
pub struct Flows(u32);

impl Flows {
    pub fn next(&mut self, question: &Question, repeat_client: bool) -> Try {
        let Question { probe, destination, .. } = question;
        self.0 = self.0.wrapping_add(1);
        // Consecutive numbers make consecutive clients; the port alone changes where the client is repeated.
        let number = if repeat_client { self.0.wrapping_sub(1) } else { self.0 };
        let (place, client) = probe.group.client(probe.family, number);
        let from = SocketAddr::new(client, 10_000 + u16::try_from(self.0 % 50_000).unwrap_or(0));
        Try { protocol: destination.protocol, place, from, to: destination.address }
    }
}

/// Puts `questions` to both gateways. What `is_explained` is not asked again.
pub fn compare(
    arena: &Arena,
    flows: &mut Flows,
    questions: Vec<Question>,
    at_least: usize,
    is_explained: &dyn Fn(&Compared) -> bool,
) -> Result<Vec<Compared>> {
    let answerless =
        |question| Compared { question, kube: Observation::default(), penstock: Observation::default() };
    let mut asked: Vec<Compared> = questions.into_iter().map(answerless).collect();
    for patience in PATIENCE {
        let is_done = |compared: &Compared| compared.agree() || is_explained(compared);
        let mut open: Vec<&mut Compared> =
            asked.iter_mut().filter(|compared| patience == PATIENCE[0] || !is_done(compared)).collect();
        for compared in &mut open {
            (compared.kube, compared.penstock) = (Observation::default(), Observation::default());
        }
        for (round, count) in ROUNDS.into_iter().enumerate() {
            open.retain(|compared| compared.needs(round, at_least, is_explained(compared)));
            if open.is_empty() {
                break;
            }
            ask(arena, flows, &mut open, count, patience)?;
        }
    }
    Ok(asked)
}

/// `count` flows of each probe, at both gateways at the same time.
fn ask(
    arena: &Arena,
    flows: &mut Flows,
    open: &mut [&mut Compared],
    count: usize,
    patience: Duration,
) -> Result<()> {
    let mut all = Vec::new();
    for (index, compared) in open.iter().enumerate() {
        for number in 0..count {
            let flow = flows.next(&compared.question, number % 4 == 3);
            all.push((index, flow));
        }
    }
    let tries: Vec<Try> = all.iter().map(|(_, flow)| *flow).collect();
    let (kube, penstock) = at_both(arena, |side: &Side| tries::send(side, &tries, patience));
    for (((index, flow), kube), penstock) in all.iter().zip(kube?).zip(penstock?) {
        open[*index].kube.enter(flow, &kube);
        open[*index].penstock.enter(flow, &penstock);
    }
    Ok(())
}

/// The same at both gateways, at the same time.
pub fn at_both<T: Send>(arena: &Arena, work: impl Fn(&Side) -> T + Sync) -> (T, T) {
    std::thread::scope(|scope| {
        let kube = scope.spawn(|| work(&arena.kube));
        let penstock = work(&arena.penstock);
        (kube.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), penstock)
    })
}
