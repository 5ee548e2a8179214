//! Follows objects and Leases, and has this gateway announce what is its to announce.
//!
//! In: the objects that the workers serve by now, the Leases, and how our own renewals go. Out: what the [`Announcer`] is
//! to announce; to whom flows that began elsewhere are relayed; the plan, for people; events. One task; it writes nothing
//! itself and waits for nobody, so that a slow API server delays no takeover.
//!
//! * Addresses are defended only while the API server answers us: who is cut off keeps what it has until it hears another
//!   gateway that has taken it, which must know better.
//! * What goes to another gateway that is alive is answered for until that one is heard ([`Handing`]); what nobody is to
//!   have is given up at once.
//! * What comes from another gateway that is alive is announced when the workers know where its flows are ([`Relays`]):
//!   a packet of theirs that came before would be taken for the first of a new flow, and the connection be reset.

use super::{Beat, Gateways, Handing, LEASE_PREFIX, Planned, Presence, Relays, Steady, announced_by};
use crate::{
    config::{Announce, Ours},
    l2::{Announcer, AnnouncerError, Before, Interfaces, L2Event, Planner, Wanted},
    objects::{ObjectKey, Objects},
    reports::Notice,
    watch::SeenLeases,
};
use penstock_dataplane::wire::EtherAddr;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::{Notify, mpsc, watch},
    time::sleep_until,
};

/// How long an address that moves to a gateway that is alive is answered for, if that one is not heard: longer than it may
/// take to learn that the address is its own, and to take it.
const HANDING: Duration = Duration::from_secs(2);

/// Who this gateway is.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The node's name.
    pub node: String,
    /// The Services that are ours.
    pub ours: Ours,
    /// The interfaces that clients are behind.
    pub interfaces: Vec<String>,
    /// How addresses are announced.
    pub terms: Announce,
}

/// What is followed.
#[derive(Debug)]
pub struct Feeds {
    /// The objects as they were published last.
    pub served: watch::Receiver<Objects>,
    /// The Leases.
    pub leases: watch::Receiver<SeenLeases>,
    /// Our last renewal.
    pub renewed: watch::Receiver<Option<Instant>>,
    /// Whether we are here to stay.
    pub presence: watch::Receiver<Presence>,
    /// The neighbours that all workers know of by now.
    pub in_use: watch::Receiver<Neighbours>,
}

/// Whom the packet path knows of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Neighbours {
    /// The MACs of other gateways.
    pub peers: BTreeSet<EtherAddr>,
    /// Who had an address before: the interface and the MAC.
    pub relays: BTreeMap<IpAddr, (String, EtherAddr)>,
}

/// What is told.
#[derive(Debug)]
pub struct Outlets {
    /// The packet path is told of its neighbours.
    pub neighbours: watch::Sender<Neighbours>,
    /// People are told the plan.
    pub planned: watch::Sender<Planned>,
    /// Events about Services.
    pub events: mpsc::UnboundedSender<(ObjectKey, Notice)>,
    /// Whether we are leaving, and everything has been handed over.
    pub handed_over: watch::Sender<bool>,
    /// Our Lease is to be renewed now.
    pub hurry: Arc<Notify>,
}

/// See the module.
#[derive(Debug)]
pub struct Announcing {
    identity: Identity,
    feeds: Feeds,
    outlets: Outlets,
    announcer: Announcer,
    planner: Planner,
    steady: Steady,
    gateways: Gateways,
    handing: Handing,
    relays: Relays,
    /// What is announced as soon as its former owner is known to the workers.
    succeeding: BTreeSet<IpAddr>,
    objects: Objects,
    wanted: BTreeMap<IpAddr, Wanted>,
    defending: bool,
    /// Until when a Lease that may have run out was asked after.
    hurried: Option<Instant>,
}

impl Announcing {
    /// Begins; nothing is announced yet. The second part is to be given to [`run`](Self::run).
    pub fn start(
        identity: Identity,
        feeds: Feeds,
        outlets: Outlets,
    ) -> Result<(Self, mpsc::UnboundedReceiver<L2Event>), AnnouncerError> {
        let interfaces = identity.interfaces.clone();
        let (announcer, heard) = Announcer::start(interfaces.clone(), identity.terms.gratuitous_interval)?;
        let planner = Planner::new(&identity.node, identity.ours.clone(), interfaces.into_iter().collect());
        let announcing = Self {
            identity,
            feeds,
            outlets,
            announcer,
            planner,
            steady: Steady::default(),
            gateways: Gateways::default(),
            handing: Handing::default(),
            relays: Relays::default(),
            succeeding: BTreeSet::new(),
            objects: Objects { pending: true, ..Objects::default() },
            wanted: BTreeMap::new(),
            defending: true,
            hurried: None,
        };
        Ok((announcing, heard))
    }

    /// Goes on until the objects' source is gone.
    pub async fn run(mut self, mut heard: mpsc::UnboundedReceiver<L2Event>) {
        loop {
            let wake = self.wake();
            tokio::select! {
                changed = self.feeds.served.changed() => match changed {
                    Ok(()) => {
                        self.objects = self.feeds.served.borrow_and_update().clone();
                        self.replan();
                    }
                    Err(_) => return self.announcer.close().await,
                },
                Ok(()) = self.feeds.leases.changed() => self.read_leases(),
                Ok(()) = self.feeds.renewed.changed() => {}
                Ok(()) = self.feeds.presence.changed() => {}
                Ok(()) = self.feeds.in_use.changed() => {}
                Some(event) = heard.recv() => {
                    self.take(&event);
                    while let Ok(event) = heard.try_recv() {
                        self.take(&event);
                    }
                }
                () = sleep_until(wake.unwrap_or_else(Instant::now).into()), if wake.is_some() => {}
            }
            self.settle();
        }
    }

    /// When something is to be done that nobody tells of.
    fn wake(&self) -> Option<Instant> {
        let lease = self.identity.terms.lease_duration;
        let renewed = *self.feeds.renewed.borrow();
        let cut_off = renewed.filter(|_| self.defending).map(|renewed| renewed + lease);
        let doubtful = self.gateways.doubtful.filter(|doubtful| Some(*doubtful) != self.hurried);
        [self.relays.ends(), self.handing.ends(), cut_off, doubtful].into_iter().flatten().min()
    }

    fn read_leases(&mut self) {
        let beats: BTreeMap<_, _> = self
            .feeds
            .leases
            .borrow_and_update()
            .iter()
            .filter_map(|(name, lease)| {
                let node = name.strip_prefix(LEASE_PREFIX)?;
                Some((node.to_owned(), Beat::new(lease.duration, lease.changed, &lease.annotations)))
            })
            .collect();
        let own = &self.identity.node;
        self.steady.seen(beats.get(own));
        let gateways = Gateways::read(&beats, own, &self.steady);
        let others = beats.iter().filter(|(node, _)| *node != own);
        self.announcer.set_peers(others.flat_map(|(_, beat)| beat.macs.iter().copied()).collect());
        let before = std::mem::replace(&mut self.gateways, gateways);
        if before.live != self.gateways.live {
            tracing::info!(gateways = ?self.gateways.live, "gateways that announce addresses");
            self.replan();
        }
    }

    fn replan(&mut self) {
        let before = self.planner.plan().mine.clone();
        let changed = self.planner.update(&self.objects, &self.gateways.live);
        let plan = self.planner.plan();
        if changed.mine {
            self.handing.replan(&before, plan, Instant::now() + HANDING);
        }
        for (key, names) in plan.lacking.iter().filter(|(key, _)| changed.services.contains(*key)) {
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            let note = format!(
                "node \"{}\" is to announce it on {} and has none of these among its interfaces for clients ({})",
                self.identity.node,
                names.join(", "),
                self.identity.interfaces.join(", ")
            );
            self.tell(key.clone(), Notice::warning("announceFailed", note));
        }
        self.outlets.planned.send_if_modified(|planned| {
            planned.objects = self.objects.clone();
            if *planned.live != self.gateways.live {
                planned.live = Arc::new(self.gateways.live.clone());
            }
            let problems = self.planner.problems();
            if *planned.problems != problems {
                planned.problems = problems.into();
            }
            if !changed.services.is_empty() {
                planned.plan = Arc::new(plan.clone());
            }
            true
        });
    }

    /// Takes in what the announcer tells.
    fn take(&mut self, event: &L2Event) {
        match event {
            L2Event::Announced { .. } => tracing::info!("{event}"),
            L2Event::TakingOver { address, interface, mac } => {
                tracing::info!("{event}");
                let until = Instant::now() + self.identity.terms.relay;
                self.relays.taken(*address, interface, *mac, until);
                self.succeeding.insert(*address);
            }
            L2Event::Conflict { address, .. } => {
                tracing::warn!("{event}");
                let plan = self.planner.plan();
                let has = |addresses: &[IpAddr]| addresses.contains(address);
                let services = plan.decisions.iter().filter(|(_, decision)| has(&decision.addresses));
                for key in services.map(|(key, _)| key.clone()).collect::<Vec<_>>() {
                    self.tell(key, Notice::warning("AddressConflict", event.to_string()));
                }
            }
            L2Event::Contested { address, .. } | L2Event::Yielded { address, .. } => {
                tracing::info!("{event}");
                self.handing.taken(*address);
            }
        }
    }

    /// Brings everybody in line with what is known now.
    fn settle(&mut self) {
        let now = Instant::now();
        let is_ours = |address| self.planner.plan().mine.contains_key(&address);
        self.handing.expire(now);
        self.relays.retain(now, is_ours, &self.gateways.peers);
        let wanted = self.wanted();
        if wanted != self.wanted {
            self.announcer.set(wanted.clone());
            self.wanted = wanted;
        }
        let presence = *self.feeds.presence.borrow();
        let renewed = *self.feeds.renewed.borrow();
        let answers = renewed.is_some_and(|renewed| now < renewed + self.identity.terms.lease_duration);
        let defending = answers && presence == Presence::Here;
        if defending != self.defending {
            if presence == Presence::Here {
                let word = if defending { "answers again" } else { "does not answer: addresses are kept" };
                tracing::warn!("the API server {word}");
            }
            self.announcer.set_defending(defending);
            self.defending = defending;
        }
        if let Some(doubtful) = self.gateways.doubtful.filter(|doubtful| *doubtful <= now)
            && self.hurried != Some(doubtful)
        {
            self.hurried = Some(doubtful);
            self.outlets.hurry.notify_one();
        }
        self.introduce();
        let handed_over = presence == Presence::Leaving && self.wanted.is_empty();
        self.outlets
            .handed_over
            .send_if_modified(|known| std::mem::replace(known, handed_over) != handed_over);
    }

    /// Tells the packet path of its neighbours, and goes on with what waited for that.
    fn introduce(&mut self) {
        let neighbours = Neighbours { peers: self.gateways.peers.clone(), relays: self.relays.table() };
        let in_use = self.feeds.in_use.borrow_and_update().clone();
        let is_known = |address: &IpAddr| in_use.relays.get(address) == neighbours.relays.get(address);
        let ready: BTreeSet<_> = self.succeeding.iter().copied().filter(is_known).collect();
        if !ready.is_empty() {
            self.succeeding.retain(|address| !ready.contains(address));
            self.announcer.proceed(ready);
        }
        self.outlets.neighbours.send_if_modified(|known| {
            let differs = *known != neighbours;
            *known = neighbours;
            differs
        });
    }

    fn wanted(&self) -> BTreeMap<IpAddr, Wanted> {
        let plan = self.planner.plan();
        let handing = self.handing.addresses();
        let mut before = BTreeMap::new();
        for (key, decision) in &plan.decisions {
            let service = self.objects.services.get(key);
            let Some(node) = service.and_then(|service| announced_by(&service.value)) else { continue };
            let is_there = self.gateways.others.contains(node);
            let who = if is_there { Before::OneThatIsThere } else { Before::OneThatIsGone };
            before.extend(decision.addresses.iter().map(|address| (*address, who)));
        }
        let wanted = |address: IpAddr, interfaces: &Interfaces| {
            let before = before.get(&address).copied().unwrap_or(Before::Nobody);
            (address, Wanted { interfaces: interfaces.clone(), before })
        };
        let mine = plan.mine.iter().map(|(address, interfaces)| wanted(*address, interfaces));
        mine.chain(handing.map(|(address, interfaces)| wanted(address, interfaces))).collect()
    }

    fn tell(&self, key: ObjectKey, notice: Notice) {
        // Nobody listens any more when everything ends.
        let _ended = self.outlets.events.send((key, notice));
    }
}
