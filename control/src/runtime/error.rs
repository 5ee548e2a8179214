//! Why the appliance does not start, or stops.

use crate::l2::AnnouncerError;
use penstock_dataplane::{io::af_xdp::OpenError, xdp::ClassifierError};

/// See the module. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// A configured interface is missing.
    #[error("{field}: {name}: there is no such interface; `ip link` lists those there are")]
    NoInterface {
        /// The field.
        field: String,
        /// The interface.
        name: String,
    },
    /// A configured queue is missing.
    #[error(
        "{field}: {name} has {there} receive queues, so there is no queue {last}; leave the field out to use all"
    )]
    NoQueue {
        /// The field.
        field: String,
        /// The interface.
        name: String,
        /// The queue.
        last: u32,
        /// How many there are.
        there: u32,
    },
    /// A worker would have no queue to send by.
    #[error(
        "workers.count: {workers}: each worker needs a queue of its own on every interface, and {name} has {queues}; \
         use fewer workers, or give the interface more queues (`ethtool -L {name} combined {workers}`)"
    )]
    TooManyWorkers {
        /// How many workers.
        workers: usize,
        /// The interface.
        name: String,
        /// Its queues.
        queues: u32,
    },
    /// A thread can't be started.
    #[error("worker {index} can't be started: {source}")]
    Thread {
        /// Which.
        index: usize,
        /// Why.
        source: std::io::Error,
    },
    /// A worker ended before it had begun.
    #[error("worker {index} has died at its start; this is a defect: please report its panic message")]
    WorkerStart {
        /// Which.
        index: usize,
    },
    /// A worker has ended by itself.
    #[error("worker {index} has died; this is a defect: please report its panic message from the log")]
    WorkerDied {
        /// Which.
        index: u16,
    },
    /// A part of the cluster's side has ended by itself.
    #[error("a task has died; this is a defect: please report its panic message from the log: {0}")]
    TaskDied(#[source] tokio::task::JoinError),
    /// Addresses can't be announced.
    #[error(transparent)]
    Announcer(#[from] AnnouncerError),
    /// The classifier.
    #[error(transparent)]
    Classifier(#[from] ClassifierError),
    /// A socket.
    #[error(transparent)]
    Socket(#[from] OpenError),
    /// Routes and neighbours.
    #[error(transparent)]
    Routes(#[from] crate::routes::RoutesError),
    /// The manifests folder.
    #[error(transparent)]
    Manifests(#[from] crate::manifests::FolderError),
    /// The API server's address or our credentials.
    #[error(transparent)]
    Cluster(#[from] crate::watch::ClusterError),
    /// The control socket.
    #[error(transparent)]
    Socketfile(#[from] crate::api::ServerError),
    /// The async runtime or its signals.
    #[error("the runtime can't be started: {0}")]
    Runtime(#[from] std::io::Error),
}
