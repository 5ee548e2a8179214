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
    arena::{Arena, Destination, Side},
    probe::Probe,
    tries::{self, Outcome, Try},
};

/// Flows a probe, round by round. Of five backends, one is missed by all of them once in 10^12.
const ROUNDS: [usize; 6] = [4, 4, 8, 16, 32, 64];

/// Agreement on who serves is believed after so many rounds, where the oracle is all there is.
pub const FEW: usize = 2;

/// The same, where every backend that may serve must be seen: of three, one is missed once in 10^8.
pub const MANY: usize = 5;

/// How long a flow waits for an answer, and again where there is a disagreement.
const PATIENCE: [Duration; 2] = [Duration::from_millis(250), Duration::from_millis(2000)];

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
    pub rejected: bool,
    pub silent: bool,
    pub odd: BTreeSet<String>,
    /// Whether a client was sent to two backends.
    pub moved: bool,
    by_client: BTreeMap<IpAddr, SocketAddr>,
}

/// A probe with its answers.
#[derive(Debug, Clone)]
pub struct Compared {
    pub probe: Probe,
    pub destination: Destination,
    pub kube: Observation,
    pub penstock: Observation,
    pub has_affinity: bool,
}

impl fmt::Display for Observation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if !self.backends.is_empty() {
            let backends: Vec<_> = self.backends.iter().map(SocketAddr::to_string).collect();
            let moved = if self.moved { ", clients moved" } else { "" };
            parts.push(format!("served by {} (source {:?}{moved})", backends.join(" "), self.sources));
        }
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

impl Observation {
    fn enter(&mut self, one: &Try, outcome: &Outcome) {
        match outcome {
            Outcome::Answered { backend, peer } => {
                self.backends.insert(*backend);
                self.sources.insert(match peer.ip() {
                    ip if ip == one.from.ip() => Source::Kept,
                    ip if ip == Arena::snat_address(crate::arena::Family::of(ip)) => Source::Translated,
                    ip => Source::Other(ip),
                });
                let before = self.by_client.insert(one.from.ip(), *backend);
                self.moved |= before.is_some_and(|before| before != *backend);
            }
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
            && self.kube.odd == self.penstock.odd
            && same(|seen| (seen.rejected, seen.silent))
            // Without affinity it is chance at one gateway and a hash of the whole tuple at the other.
            && (!self.has_affinity || self.kube.moved == self.penstock.moved)
    }
}

impl Compared {
    /// Whether flows of round `round` can tell more.
    fn needs(&self, round: usize, at_least: usize) -> bool {
        let serve = [&self.kube, &self.penstock].map(|seen| !seen.backends.is_empty());
        match (serve, self.agree()) {
            ([false, false], true) => round < 1,
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
    fn next(&mut self, probe: &Probe, destination: Destination, repeat_client: bool) -> Try {
        self.0 = self.0.wrapping_add(1);
        // Consecutive numbers make consecutive clients; the port alone changes where the client is repeated.
        let client = probe.group.client(probe.family, if repeat_client { self.0 - 1 } else { self.0 });
        let port = 10_000 + u16::try_from(self.0 % 50_000).unwrap_or(0);
        Try { protocol: destination.protocol, from: SocketAddr::new(client, port), to: destination.address }
    }
}

/// Puts `probes` to both gateways.
pub fn compare(
    arena: &Arena,
    flows: &mut Flows,
    probes: Vec<(Probe, Destination, bool)>,
    at_least: usize,
) -> Result<Vec<Compared>> {
    let mut asked: Vec<Compared> = probes
        .into_iter()
        .map(|(probe, destination, has_affinity)| Compared {
            probe,
            destination,
            has_affinity,
            kube: Observation::default(),
            penstock: Observation::default(),
        })
        .collect();
    for patience in PATIENCE {
        let mut open: Vec<&mut Compared> =
            asked.iter_mut().filter(|compared| patience == PATIENCE[0] || !compared.agree()).collect();
        for compared in &mut open {
            (compared.kube, compared.penstock) = (Observation::default(), Observation::default());
        }
        for (round, count) in ROUNDS.into_iter().enumerate() {
            open.retain(|compared| compared.needs(round, at_least));
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
            let flow = flows.next(&compared.probe, compared.destination, number % 4 == 3);
            all.push((index, flow));
        }
    }
    let tries: Vec<Try> = all.iter().map(|(_, flow)| *flow).collect();
    let send = |side: &Side| tries::send(&side.world.client, &tries, patience);
    let (kube, penstock) = std::thread::scope(|scope| {
        let kube = scope.spawn(|| send(&arena.kube));
        let penstock = send(&arena.penstock);
        (kube.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), penstock)
    });
    for (((index, flow), kube), penstock) in all.iter().zip(kube?).zip(penstock?) {
        open[*index].kube.enter(flow, &kube);
        open[*index].penstock.enter(flow, &penstock);
    }
    Ok(())
}
