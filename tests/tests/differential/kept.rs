//! Flows that are under way while objects change: which go on, which find another backend, which end.
//!
//! The gateways send flows to backends of their own choice, so what is compared is by backend: what becomes of the
//! flows that were on it. Flows are of TCP and UDP; there is no SCTP beyond its first packet without the kernel's.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::SocketAddr,
    time::Duration,
};

use anyhow::Result;

use crate::{
    arena::Arena,
    observe::{Compared, Flows, Question, at_both},
    tries::{self, Flow, Outcome, Protocol, Try},
};

/// Flows of a probe at each gateway.
const EACH: usize = 8;

/// How long flows wait for their first answer.
const PATIENCE: Duration = Duration::from_millis(500);

/// How long they rest after the change, and again where there is a disagreement, and then wait for an answer.
/// kube-proxy looks after UDP flows some time after it has programmed what is new.
const AFTER: [(Duration, Duration); 2] =
    [(Duration::ZERO, Duration::from_millis(150)), (Duration::from_millis(500), Duration::from_millis(2000))];

/// What has become of a flow.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum After {
    Stays,
    /// On another backend.
    Moved,
    Rejected,
    Silent,
    Odd(String),
}

/// Flows of one probe, each with the backend that it was on.
pub struct Kept {
    question: Question,
    kube: Vec<(SocketAddr, Flow)>,
    penstock: Vec<(SocketAddr, Flow)>,
}

/// What has become of the flows of one probe, by the backend that they were on.
#[derive(Debug, Clone)]
pub struct Survival {
    pub question: Question,
    pub kube: BTreeMap<SocketAddr, BTreeSet<After>>,
    pub penstock: BTreeMap<SocketAddr, BTreeSet<After>>,
}

impl Survival {
    pub fn agree(&self) -> bool {
        self.kube
            .iter()
            .all(|(backend, kube)| self.penstock.get(backend).is_none_or(|penstock| kube == penstock))
    }
}

impl fmt::Display for Survival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Question { probe, destination, .. } = &self.question;
        writeln!(f, "established: {probe} ({:?} {}):", destination.protocol, destination.address)?;
        let say = |side: &BTreeMap<SocketAddr, BTreeSet<After>>| -> String {
            let lines = side.iter().map(|(backend, after)| format!("{backend} {after:?}"));
            lines.collect::<Vec<_>>().join(", ")
        };
        writeln!(f, "  kube-proxy: {}", say(&self.kube))?;
        write!(f, "  penstock:   {}", say(&self.penstock))
    }
}

/// Opens flows for those of `asked` that both serve.
pub fn open(arena: &Arena, flows: &mut Flows, asked: &[&Compared]) -> Result<Vec<Kept>> {
    let mut questions = Vec::new();
    for compared in asked {
        let question = &compared.question;
        let is_kept = matches!(question.destination.protocol, Protocol::Tcp | Protocol::Udp);
        if is_kept && !compared.kube.backends.is_empty() && compared.agree() {
            let tries: Vec<Try> = (0..EACH).map(|_| flows.next(question, false)).collect();
            questions.push((question.clone(), tries));
        }
    }
    let tries: Vec<Try> = questions.iter().flat_map(|(_, tries)| tries).copied().collect();
    let (kube, penstock) = at_both(arena, |side| tries::start(side, &tries, PATIENCE));
    let (mut kube, mut penstock) = (kube?.into_iter(), penstock?.into_iter());
    let served = |flow: Flow| match flow.outcome {
        Outcome::Answered { backend, .. } => Some((backend, flow)),
        _ => None,
    };
    let kept = questions.into_iter().map(|(question, _)| Kept {
        question,
        kube: kube.by_ref().take(EACH).filter_map(served).collect(),
        penstock: penstock.by_ref().take(EACH).filter_map(served).collect(),
    });
    Ok(kept.collect())
}

/// Goes on with all of them.
pub fn compare(mut kept: Vec<Kept>) -> Result<Vec<Survival>> {
    let mut found: Vec<Option<Survival>> = kept.iter().map(|_| None).collect();
    for (rest, patience) in AFTER {
        let mut open = Vec::new();
        for (kept, found) in kept.iter_mut().zip(&mut found) {
            if found.as_ref().is_none_or(|found| !found.agree()) {
                open.push((kept, found));
            }
        }
        if open.is_empty() {
            break;
        }
        std::thread::sleep(rest);
        let all = open.iter_mut().flat_map(|(kept, _)| kept.kube.iter_mut().chain(&mut kept.penstock));
        tries::say_more(&mut all.map(|(_, flow)| flow).collect::<Vec<_>>(), patience)?;
        for (kept, found) in open {
            *found = Some(Survival {
                question: kept.question.clone(),
                kube: survival(&kept.kube),
                penstock: survival(&kept.penstock),
            });
        }
    }
    Ok(found.into_iter().flatten().collect())
}

fn survival(flows: &[(SocketAddr, Flow)]) -> BTreeMap<SocketAddr, BTreeSet<After>> {
    let mut by_backend = BTreeMap::<_, BTreeSet<_>>::new();
    for (before, flow) in flows {
        let after = match &flow.outcome {
            Outcome::Answered { backend, .. } if backend == before => After::Stays,
            Outcome::Answered { .. } => After::Moved,
            Outcome::Rejected => After::Rejected,
            Outcome::Silent => After::Silent,
            Outcome::Odd(what) | Outcome::Health(what) => After::Odd(what.clone()),
        };
        by_backend.entry(*before).or_default().insert(after);
    }
    by_backend
}
