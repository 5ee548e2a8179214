//! What a gateway does in a cluster beside serving: it is seen to be alive, announces addresses, gives them, and tells of
//! all that on the objects.
//!
//! In: the objects as they were published, what is wrong with them, whether the node is fit to be used, and which other
//! gateways the workers know of by now. Out: whom the packet path is to know as other gateways, and the plan for people. Each part is a task of its own that goes on by itself;
//! none of them holds up the loop that publishes tables.
//!
//! To leave takes three steps: the Lease says so, and others take the addresses over; flows that are here go on for a while
//! (`announce.drain`); the Lease is given back, and nobody relays to us any more.

use super::RuntimeError;
use crate::{
    config::{Config, Kubernetes},
    fault::Problem,
    gateways::{Announcing, Feeds, Heartbeat, Identity, Neighbours, Notes, Outlets, Planned, Presence},
    ipam,
    objects::{ObjectKey, Objects, Subject},
    reports::{self, About, Change, ClusterLock, Desk, Faults, Found, Notice, Terms},
    watch::{Cluster, Writer},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::{Notify, mpsc, watch},
    task::JoinSet,
};

/// How long the lock of the gateway that gives addresses lasts: whoever waits for an address can wait so long.
const LOCK_TERMS: Terms = Terms { duration: Duration::from_secs(15), renewal: Duration::from_secs(3) };
/// How long others may take to take our addresses over.
const HANDOVER: Duration = Duration::from_secs(3);
/// How long the API server may take to hear that we are gone.
const FAREWELL: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub(super) struct InCluster {
    served: watch::Sender<Objects>,
    shared: watch::Sender<Found>,
    own: watch::Sender<Found>,
    presence: watch::Sender<Presence>,
    neighbours: watch::Receiver<Neighbours>,
    in_use: watch::Sender<Neighbours>,
    planned: watch::Receiver<Planned>,
    renewed: watch::Receiver<Option<Instant>>,
    handed_over: watch::Receiver<bool>,
    drain: Duration,
    /// While it leaves: when everything must be handed over, and from when on it may go.
    leaving: Option<Leaving>,
    locked: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

#[derive(Debug, Clone, Copy)]
struct Leaving {
    since: Instant,
    handed_over: Option<Instant>,
}

impl InCluster {
    /// Starts everything that the configuration asks for.
    pub(super) fn start(
        config: &Config,
        kubernetes: &Kubernetes,
        cluster: &Cluster,
    ) -> Result<Self, RuntimeError> {
        let mut tasks = JoinSet::new();
        let (served, follows) = watch::channel(pending());
        let (shared, faults) = watch::channel(Found { objects: pending(), ..Found::default() });
        let (own, own_faults) = watch::channel(Found { objects: pending(), ..Found::default() });
        let (presence, present) = watch::channel(Presence::Away);
        let (neighbours, known) = watch::channel(Neighbours::default());
        let (in_use, used) = watch::channel(Neighbours::default());
        let (plans, planned) = watch::channel(Planned::default());
        let (renewals, renewed) = watch::channel(None);
        let (over, handed_over) = watch::channel(false);
        let (locked, mut unlocked) = watch::channel(true);
        let (held, holds) = watch::channel(false);
        let hurry = Arc::new(Notify::new());

        let writer = cluster.writer();
        let lock = ClusterLock::new(cluster.leases(), &config.node_name);
        let stop = async move { drop(unlocked.wait_for(|locked| !locked).await) };
        tasks.spawn(reports::hold(lock, LOCK_TERMS, held, stop));
        tasks.spawn(ipam::run(kubernetes.ours.clone(), cluster.objects(), holds.clone(), writer.clone()));
        tasks.spawn(reports::follow(Faults::of_cluster, faults, holds.clone(), writer.clone()));
        let (always, mine) = watch::channel(true);
        let node = config.node_name.clone();
        let own_writer = writer.clone();
        tasks.spawn(async move {
            // What this gateway finds alone it tells itself, lock or none.
            let _always = always;
            reports::follow(|| Faults::of_node(&node), own_faults, mine, own_writer).await;
        });

        if config.announce.enabled {
            let clients = config.interfaces.iter().filter(|interface| interface.roles.client);
            let identity = Identity {
                node: config.node_name.clone(),
                ours: kubernetes.ours.clone(),
                interfaces: clients.map(|interface| interface.name.clone()).collect(),
                terms: config.announce.clone(),
            };
            let beat = Heartbeat {
                node: identity.node.clone(),
                interfaces: identity.interfaces.clone(),
                duration: config.announce.lease_duration,
                interval: config.announce.renew_interval,
                presence: present.clone(),
                hurry: Arc::clone(&hurry),
                renewed: renewals,
            };
            tasks.spawn(beat.run(cluster.leases()));
            let feeds = Feeds {
                served: follows,
                leases: cluster.leases().seen(),
                renewed: renewed.clone(),
                presence: present,
                in_use: used,
            };
            let (events, told) = mpsc::unbounded_channel();
            let outlets = Outlets { neighbours, planned: plans, events, handed_over: over, hurry };
            let (announcing, heard) = Announcing::start(identity, feeds, outlets)?;
            tasks.spawn(announcing.run(heard));
            tasks.spawn(tell(told, cluster.objects(), writer.clone()));
            tasks.spawn(reports::follow(Notes::default, planned.clone(), holds, writer));
        }
        Ok(Self {
            served,
            shared,
            own,
            presence,
            neighbours: known,
            in_use,
            planned,
            renewed,
            handed_over,
            drain: config.announce.drain,
            leaving: None,
            locked,
            tasks,
        })
    }

    /// These objects are served now; this every gateway finds wrong with them, and that this one alone.
    pub(super) fn served(&self, objects: &Objects, shared: Arc<[Problem]>, own: Arc<[Problem]>) {
        self.served.send_replace(objects.clone());
        self.shared.send_replace(Found { objects: objects.clone(), problems: shared });
        self.own.send_replace(Found { objects: objects.clone(), problems: own });
    }

    /// Whether the node is fit to have addresses.
    pub(super) fn fit(&self, fit: bool) {
        let presence = match (fit, self.leaving) {
            (_, Some(_)) => Presence::Leaving,
            (true, None) => Presence::Here,
            (false, None) => Presence::Away,
        };
        self.presence.send_if_modified(|known| std::mem::replace(known, presence) != presence);
    }

    /// Resolves when the packet path is to know other neighbours, or people another plan.
    pub(super) async fn changed(&mut self) {
        tokio::select! {
            Ok(()) = self.neighbours.changed() => {}
            Ok(()) = self.planned.changed() => {}
            // Nothing is announced.
            else => std::future::pending().await,
        }
    }

    /// Whom the packet path is to know.
    pub(super) fn neighbours(&self) -> Neighbours {
        self.neighbours.borrow().clone()
    }

    /// All workers know of these.
    pub(super) fn uses(&self, neighbours: &Neighbours) {
        self.in_use.send_if_modified(|known| {
            let differs = known != neighbours;
            known.clone_from(neighbours);
            differs
        });
    }

    /// Who announces what.
    pub(super) fn planned(&self) -> Planned {
        self.planned.borrow().clone()
    }

    /// Begins to leave.
    pub(super) fn leave(&mut self) {
        self.leaving = Some(Leaving { since: Instant::now(), handed_over: None });
        self.locked.send_replace(false);
        self.fit(false);
    }

    /// Whether it has begun to leave.
    pub(super) fn is_leaving(&self) -> bool {
        self.leaving.is_some()
    }

    /// An error if a part has died: a gateway that is seen to be alive and announces nothing would be worse than none.
    pub(super) fn check(&mut self) -> Result<(), RuntimeError> {
        match self.tasks.try_join_next() {
            Some(Err(error)) => Err(RuntimeError::TaskDied(error)),
            Some(Ok(())) | None => Ok(()),
        }
    }

    /// Whether it may go: everything is handed over, and flows have had their time. Where there is nobody to hand anything
    /// to, there is nothing to wait for.
    pub(super) fn may_go(&mut self) -> bool {
        let Some(leaving) = &mut self.leaving else { return false };
        if leaving.handed_over.is_none() && *self.handed_over.borrow() {
            leaving.handed_over = Some(Instant::now());
        }
        let is_alone = self.neighbours.borrow().peers.is_empty();
        match leaving.handed_over {
            Some(moment) => is_alone || moment.elapsed() >= self.drain,
            None => is_alone || leaving.since.elapsed() >= HANDOVER + self.drain,
        }
    }

    /// Gives the Lease back, and ends everything.
    pub(super) async fn end(mut self) {
        self.presence.send_replace(Presence::Away);
        let given_back = self.renewed.wait_for(Option::is_none);
        if tokio::time::timeout(FAREWELL, given_back).await.is_err() {
            tracing::warn!(
                "the API server does not answer: others will see from the Lease that this gateway is gone"
            );
        }
        self.tasks.shutdown().await;
    }
}

fn pending() -> Objects {
    Objects { pending: true, ..Objects::default() }
}

/// Tells the events about Services that only this gateway knows of.
async fn tell(
    mut told: mpsc::UnboundedReceiver<(ObjectKey, Notice)>,
    objects: watch::Receiver<Objects>,
    writer: Writer,
) {
    while let Some((key, notice)) = told.recv().await {
        let service = objects.borrow().services.get(&key).cloned();
        let Some(service) = service else { continue };
        let about = About { subject: Subject::service(&key), uid: service.value.metadata.uid.clone() };
        if let Err(error) = writer.change(&about, &Change::Event(notice.clone())).await {
            tracing::warn!(service = %key, reason = notice.reason, %error, "event not told: {}", notice.note);
        }
    }
}
