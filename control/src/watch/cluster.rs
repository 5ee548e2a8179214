//! A connected cluster: its tasks, and what they give.

use super::{
    Connection, Leases, SeenLeases, Writer,
    board::Board,
    client::{ClusterError, client},
    follow::{Subject, follow},
    seen::Seen,
    store::Store,
    strip::Watched,
};
use crate::{
    config::Kubernetes,
    metallb::{IpAddressPool, L2Advertisement},
    objects::Objects,
};
use k8s_openapi::api::{
    coordination::v1::Lease,
    core::v1::{Namespace, Node, Service},
    discovery::v1::EndpointSlice,
};
use kube::{Api, Client, core::DeserializeGuard};
use std::{collections::BTreeSet, fmt, sync::Arc};
use tokio::{sync::watch, task::JoinSet};

/// How long a watch of Leases lasts: whether other gateways live is to be known soon.
const LEASE_WATCH_SECONDS: u32 = 10;

type Pool = DeserializeGuard<IpAddressPool>;
type Advertisement = DeserializeGuard<L2Advertisement>;

/// Connected to an API server, which is followed until this is dropped.
pub struct Cluster {
    board: Arc<Board>,
    writer: Writer,
    leases: Leases,
    // They end with the set.
    _tasks: JoinSet<()>,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").finish_non_exhaustive()
    }
}

impl Cluster {
    /// Begins to follow the API server. An error is one of the configuration; an API server that is away is waited for.
    pub async fn connect(config: &Kubernetes, node_name: &str) -> Result<Self, ClusterError> {
        let client = client(config).await?;
        let board = Arc::new(Board::new(BTreeSet::from([
            Service::PLURAL,
            EndpointSlice::PLURAL,
            Node::PLURAL,
            Namespace::PLURAL,
            Pool::PLURAL,
            Advertisement::PLURAL,
        ])));
        let everywhere = &client;
        let mut tasks = JoinSet::new();
        tasks.spawn(objects::<Service>(Api::all(everywhere.clone()), &board));
        tasks.spawn(objects::<EndpointSlice>(Api::all(everywhere.clone()), &board));
        tasks.spawn(objects::<Node>(Api::all(everywhere.clone()), &board));
        tasks.spawn(objects::<Namespace>(Api::all(everywhere.clone()), &board));
        let pools = &config.pool_namespace;
        tasks.spawn(objects::<Pool>(Api::namespaced(client.clone(), pools), &board));
        tasks.spawn(objects::<Advertisement>(Api::namespaced(client.clone(), pools), &board));
        let leases = Leases::new(client.clone(), &config.namespace, board.answers().clone());
        tasks.spawn(seen(client.clone(), &config.namespace, &board, leases.sender()));
        let writer = Writer::new(client, node_name, board.objects());
        Ok(Self { board, writer, leases, _tasks: tasks })
    }

    /// The objects: `pending` until every kind has been listed once, and last good ones whatever happens then.
    pub fn objects(&self) -> watch::Receiver<Objects> {
        self.board.objects()
    }

    /// Whether the API server answers.
    pub fn connection(&self) -> Connection {
        Connection::new(&self.board)
    }

    /// Writes our answers.
    pub fn writer(&self) -> Writer {
        self.writer.clone()
    }

    /// The Leases of gateways.
    pub fn leases(&self) -> Leases {
        self.leases.clone()
    }
}

/// Follows one kind of objects.
fn objects<K: Watched>(api: Api<K>, board: &Arc<Board>) -> impl Future<Output = ()> + Send + use<K> {
    let subject = Subject { kind: K::PLURAL, optional: K::OPTIONAL, labels: K::LABELS, watch_seconds: None };
    let (to, board) = (Arc::clone(board), Arc::clone(board));
    let mut store = Store::<K>::default();
    follow(subject, api, board, move |event| to.take(&mut store, event))
}

/// Follows the Leases of gateways.
fn seen(
    client: Client,
    namespace: &str,
    board: &Arc<Board>,
    to: watch::Sender<SeenLeases>,
) -> impl Future<Output = ()> + Send + use<> {
    let subject = Subject {
        kind: "leases",
        optional: false,
        labels: Some(super::leases::SELECTOR),
        watch_seconds: Some(LEASE_WATCH_SECONDS),
    };
    let api: Api<Lease> = Api::namespaced(client, namespace);
    let mut seen = Seen::default();
    follow(subject, api, Arc::clone(board), move |event| {
        to.send_if_modified(|leases| seen.take(leases, event));
    })
}
