//! The targets, what the FIB says of each, and the ways that follow.
//!
//! Targets behind one gateway have one answer and one way between them, so that a hundred thousand cost a pointer each. A
//! way is drawn anew when what it follows from has changed, and a target's is replaced when it is another one: the map
//! of all ways shares the rest with the one before.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use imbl::{OrdSet, ordset::DiffItem};

use super::facts::{Answer, NeighbourKey};
use super::view::{Way, Ways};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Targets {
    /// What is wanted.
    wanted: OrdSet<IpAddr>,
    /// Each target's last answer.
    answers: BTreeMap<IpAddr, Option<Arc<Answer>>>,
    /// By answer: the way that followed from it last, and how many targets have it.
    routes: HashMap<Arc<Answer>, Route>,
    ways: Ways,
    /// Why ways may be other ones.
    stale: Stale,
}

#[derive(Debug)]
struct Route {
    /// `None`: not drawn yet.
    way: Option<Arc<Way>>,
    users: usize,
}

#[derive(Debug, Default)]
struct Stale {
    /// Something that all ways follow from has changed.
    all: bool,
    /// These neighbours have.
    neighbours: HashSet<NeighbourKey>,
    /// These targets have another answer, or are gone or new.
    targets: BTreeSet<IpAddr>,
}

impl Targets {
    /// Sets what is wanted. Returns what is new.
    pub(super) fn set(&mut self, targets: &OrdSet<IpAddr>) -> Vec<IpAddr> {
        let before = std::mem::replace(&mut self.wanted, targets.clone());
        let mut new = Vec::new();
        for item in before.diff(targets) {
            match item {
                DiffItem::Add(target) => {
                    self.answers.insert(*target, None);
                    self.stale.targets.insert(*target);
                    new.push(*target);
                }
                DiffItem::Remove(target) => {
                    let old = self.answers.remove(target).flatten();
                    self.release(old);
                    self.stale.targets.insert(*target);
                }
            }
        }
        new
    }

    /// Whether it is wanted.
    pub(super) fn contains(&self, target: IpAddr) -> bool {
        self.answers.contains_key(&target)
    }

    /// All of them with their answers, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (IpAddr, Option<&Answer>)> {
        self.answers.iter().map(|(target, answer)| (*target, answer.as_deref()))
    }

    /// Those from `first` to `last`.
    pub(super) fn range(&self, first: IpAddr, last: IpAddr) -> impl Iterator<Item = IpAddr> {
        self.answers.range(first..=last).map(|(target, _)| *target)
    }

    /// So many that follow this one, and then the first ones.
    pub(super) fn after(&self, last: Option<IpAddr>, count: usize) -> Vec<IpAddr> {
        let later = last.into_iter().flat_map(|last| self.answers.range(last..).skip(1));
        later
            .chain(self.answers.iter())
            .map(|(target, _)| *target)
            .take(count.min(self.answers.len()))
            .collect()
    }

    pub(super) fn len(&self) -> usize {
        self.answers.len()
    }

    /// Takes in an answer. Whether it is another one.
    pub(super) fn answered(&mut self, target: IpAddr, answer: Answer) -> bool {
        let Some(last) = self.answers.get_mut(&target) else { return false };
        if last.as_deref() == Some(&answer) {
            return false;
        }
        let known = self.routes.get_key_value(&answer).map(|(known, _)| Arc::clone(known));
        let answer = known.unwrap_or_else(|| Arc::new(answer));
        let old = last.replace(Arc::clone(&answer));
        self.routes.entry(answer).or_insert(Route { way: None, users: 0 }).users += 1;
        self.release(old);
        self.stale.targets.insert(target);
        true
    }

    fn release(&mut self, answer: Option<Arc<Answer>>) {
        let Some(answer) = answer else { return };
        if let Some(route) = self.routes.get_mut(&answer) {
            route.users -= 1;
            if route.users == 0 {
                self.routes.remove(&answer);
            }
        }
    }

    /// The distinct answers.
    pub(super) fn distinct(&self) -> impl Iterator<Item = &Answer> {
        self.routes.keys().map(AsRef::as_ref)
    }

    /// Every way may be another one.
    pub(super) fn doubt_ways(&mut self) {
        self.stale.all = true;
    }

    /// Ways by this neighbour may be other ones.
    pub(super) fn doubt_ways_by(&mut self, neighbour: NeighbourKey) {
        self.stale.neighbours.insert(neighbour);
    }

    /// The ways as they are now: `draw` tells the way that follows from an answer, or from none.
    pub(super) fn ways(&mut self, draw: impl Fn(Option<&Answer>) -> Way) -> Ways {
        let Stale { all, neighbours, targets } = std::mem::take(&mut self.stale);
        let concerned =
            |answer: &Answer| all || answer.next_hop().is_some_and(|next_hop| neighbours.contains(&next_hop));
        let mut others = HashSet::new();
        if all || !neighbours.is_empty() {
            for (answer, route) in self.routes.iter_mut().filter(|(answer, _)| concerned(answer)) {
                let way = draw(Some(answer));
                if route.way.as_deref().is_some_and(|old| *old != way) {
                    others.insert(Arc::as_ptr(answer));
                    route.way = Some(Arc::new(way));
                }
            }
        }
        let (ways, routes) = (&mut self.ways, &mut self.routes);
        let mut unanswered = None;
        let mut put = |target: IpAddr, answer: Option<&Arc<Answer>>| {
            let way = match answer.and_then(|answer| Some((answer, routes.get_mut(answer)?))) {
                Some((answer, route)) => route.way.get_or_insert_with(|| Arc::new(draw(Some(answer)))),
                None => unanswered.get_or_insert_with(|| Arc::new(draw(None))),
            };
            if ways.get(&target) != Some(way) {
                ways.insert(target, Arc::clone(way));
            }
        };
        for target in &targets {
            if let Some(answer) = self.answers.get(target) {
                put(*target, answer.as_ref());
            }
        }
        if !others.is_empty() {
            let is_other = |answer: &Arc<Answer>| others.contains(&Arc::as_ptr(answer));
            let answered =
                self.answers.iter().filter_map(|(target, answer)| Some((target, answer.as_ref()?)));
            answered
                .filter(|(_, answer)| is_other(answer))
                .for_each(|(target, answer)| put(*target, Some(answer)));
        }
        for target in targets.iter().filter(|target| !self.answers.contains_key(target)) {
            self.ways.remove(target);
        }
        self.ways.clone()
    }
}
