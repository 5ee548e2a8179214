//! Where the objects come from: a folder of manifests, or an API server. The loop asks both the same.

use super::RuntimeError;
use crate::{config, config::Config, manifests::Folder, objects::Objects, watch::Cluster};
use tokio::sync::watch;

/// A source that has been opened.
#[derive(Debug)]
pub(super) enum Source {
    /// A folder.
    Folder(Box<Folder>),
    /// An API server, and its objects.
    Cluster(Box<Cluster>, watch::Receiver<Objects>),
}

impl Source {
    /// Opens what the configuration names. An API server that is away is waited for, by [`Source::changed`].
    pub(super) async fn open(config: &Config) -> Result<Self, RuntimeError> {
        Ok(match &config.source {
            config::Source::Manifests(manifests) => Self::Folder(Box::new(Folder::open(&manifests.path)?)),
            config::Source::Kubernetes(kubernetes) => {
                let cluster = Cluster::connect(kubernetes, &config.node_name).await?;
                let objects = cluster.objects();
                Self::Cluster(Box::new(cluster), objects)
            }
        })
    }

    /// Resolves when there is something new to load. May be dropped and called again without loss.
    pub(super) async fn changed(&mut self) {
        match self {
            Self::Folder(folder) => folder.changed().await,
            Self::Cluster(_, objects) => match objects.changed().await {
                Ok(()) => {}
                // The cluster is here, so this cannot be.
                Err(_) => std::future::pending().await,
            },
        }
    }

    /// The objects as they are now, with what is wrong.
    pub(super) fn load(&mut self) -> Objects {
        match self {
            Self::Folder(folder) => folder.load(),
            Self::Cluster(_, objects) => objects.borrow_and_update().clone(),
        }
    }

    /// The API server, if it is one.
    pub(super) fn cluster(&self) -> Option<&Cluster> {
        match self {
            Self::Folder(_) => None,
            Self::Cluster(cluster, _) => Some(cluster),
        }
    }
}
