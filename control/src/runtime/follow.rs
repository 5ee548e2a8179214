//! From a change to new tables: the loop that the appliance lives in.
//!
//! Changes of objects are followed at a bounded pace, those of routes, neighbours and other gateways at once; what a change
//! leads to is [`Control`]'s. In a cluster a stop is not the end yet: addresses are handed over first.

use super::{RuntimeError, control::Control, in_cluster::InCluster, lane, numbers::Numbers, source::Source};
use crate::{
    api::Server,
    config::Config,
    routes::{Change, InterfaceEvent, Routes},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{MissedTickBehavior, interval},
};

/// How long the start waits for the neighbours of the first backends.
const FIRST_NEIGHBOURS: Duration = Duration::from_secs(2);
/// How long a change waits for the neighbours of new backends, so that their first packets find the way.
const NEW_NEIGHBOURS: Duration = Duration::from_millis(50);
/// How often old tables are freed and the workers' health is looked at.
const HOUSEKEEPING: Duration = Duration::from_millis(100);

/// Runs the appliance until it is told to stop.
pub(super) async fn run(config: Config) -> Result<(), RuntimeError> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut hangup = signal(SignalKind::hangup())?;
    let named =
        config.interfaces.iter().enumerate().map(|(port, interface)| (port as u8, interface.name.clone()));
    let mut routes = Routes::open(named.collect()).await?;
    // What it may have pinned is not to be taken from it.
    Server::check(&config.socket)?;
    let mut source = Source::open(&config).await?;
    let mut control = Control::start(config, &routes)?;
    let mut in_cluster = match (source.cluster(), control.config.cluster()) {
        (Some(cluster), Some(kubernetes)) => Some(InCluster::start(&control.config, kubernetes, cluster)?),
        _ => None,
    };

    let numbers = source.cluster().map(|cluster| Numbers::new(cluster, &control.appliance));
    control.operators.serve(&control.config, &control.appliance, numbers);
    if !control.sync(&source.load(), &mut routes, FIRST_NEIGHBOURS).await {
        tracing::warn!("some backends have no next hop yet; `penstock show backends` tells which and why");
    }
    let server = Server::open(&control.config.socket)?;
    tracing::info!(socket = %control.config.socket.display(), "ready");

    lane::start(&control.appliance);
    let serving = tokio::spawn(server.serve(Arc::clone(&control.appliance)));
    let mut housekeeping = interval(HOUSEKEEPING);
    housekeeping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let due = control.pace.due(Instant::now());
        tokio::select! {
            () = told_to_stop(&mut terminate, &mut interrupt) => match &mut in_cluster {
                Some(cluster) if !cluster.is_leaving() => {
                    tracing::info!("stopping: addresses are handed over, then flows have their time; once more: at once");
                    cluster.leave();
                }
                _ => break,
            },
            _ = hangup.recv() => {
                tracing::info!("SIGHUP: reading the objects again");
                control.request();
            }
            () = source.changed() => control.request(),
            () = until(due) => {
                // The first objects may come long after the start.
                let patience = if control.pending { FIRST_NEIGHBOURS } else { NEW_NEIGHBOURS };
                control.sync(&source.load(), &mut routes, patience).await;
            }
            change = routes.changed() => {
                let change = change?;
                report(&change);
                if !change.interfaces.is_empty() {
                    control.interfaces_changed();
                }
                control.publish(&routes.view(), Instant::now()).await;
            }
            () = changed(&mut in_cluster) => {
                if control.meet(in_cluster.as_ref()) {
                    control.publish(&routes.view(), Instant::now()).await;
                    control.introduce(in_cluster.as_ref()).await;
                }
            }
            _ = housekeeping.tick() => {
                if control.housekeeping(&routes.view())? {
                    control.publish(&routes.view(), Instant::now()).await;
                }
                if let Some(cluster) = &mut in_cluster {
                    cluster.check()?;
                    if cluster.may_go() {
                        break;
                    }
                }
            }
        }
        if let Some(cluster) = &in_cluster {
            control.tell(cluster);
        }
    }
    match control.config.persist {
        true => tracing::info!("stopping: classifier and fast lane stay; `penstock detach` takes them off"),
        false => tracing::info!("stopping: the classifier is detached, established flows end here"),
    }
    serving.abort();
    if let Some(cluster) = in_cluster {
        cluster.end().await;
    }
    control.stop();
    routes.close().await;
    Ok(())
}

async fn told_to_stop(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// For ever, where there is no cluster.
async fn changed(in_cluster: &mut Option<InCluster>) {
    match in_cluster {
        Some(cluster) => cluster.changed().await,
        None => std::future::pending().await,
    }
}

/// For ever, if there is no such time.
async fn until(time: Option<Instant>) {
    match time {
        // A timer would be up to a millisecond late.
        Some(time) if time <= Instant::now() => {}
        Some(time) => tokio::time::sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}

/// Says what happened to the interfaces.
fn report(change: &Change) {
    for event in &change.interfaces {
        match event {
            InterfaceEvent::Vanished { name, .. } => {
                tracing::error!(
                    interface = name,
                    "interface is gone: its traffic stops, the other interfaces go on; it is attached again as soon as \
                     there is one of this name that is up (`ip link`)"
                );
            }
            InterfaceEvent::Appeared { name, .. } => {
                tracing::info!(interface = name, "interface is back: it is attached as soon as it is up");
            }
            InterfaceEvent::Altered { name, .. } => tracing::info!(interface = name, "interface has changed"),
        }
    }
}
