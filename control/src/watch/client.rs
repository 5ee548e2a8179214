//! From configuration to a client of the API server.
//!
//! Nothing is sent yet: an API server that is away is no error here. Retries are left to those who know what they ask for.

use crate::config::Kubernetes;
use kube::{
    Client, Config,
    config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError},
};
use std::{path::Path, time::Duration};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a connection may be silent while an answer is awaited. Watches end by themselves before that.
const SILENCE: Duration = Duration::from_secs(75);

/// Why an API server cannot be used. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The kubeconfig.
    #[error(
        "kubernetes.kubeconfig: {path}: {cause}; name a file that `kubectl --kubeconfig {path} get services` works with"
    )]
    Kubeconfig {
        /// Its path.
        path: String,
        /// What is wrong with it.
        cause: KubeconfigError,
    },
    /// There is no kubeconfig, nor a pod's service account.
    #[error(
        "kubernetes.kubeconfig: is not set, and this is no pod with a service account (KUBERNETES_SERVICE_HOST and a token: \
         {cause}); name a kubeconfig, or run this in a pod whose automountServiceAccountToken is not false"
    )]
    NoPod {
        /// What a pod would have.
        cause: InClusterError,
    },
    /// Keys, certificates or the address make no client.
    #[error(
        "kubernetes.kubeconfig: {path}: no client can be made of it: {cause}; check its server, certificates and keys"
    )]
    Unusable {
        /// The file, or what stands for it.
        path: String,
        /// Why.
        cause: Box<kube::Error>,
    },
}

/// Makes the client.
pub(super) async fn client(config: &Kubernetes) -> Result<Client, ClusterError> {
    let (path, mut given) = match &config.kubeconfig {
        Some(path) => (path.display().to_string(), from_file(path).await?),
        None => {
            let given = Config::incluster().map_err(|cause| ClusterError::NoPod { cause })?;
            ("the pod's service account".to_owned(), given)
        }
    };
    given.connect_timeout = Some(CONNECT);
    given.read_timeout = Some(SILENCE);
    given.reset_reader_on_write = true;
    given.default_retry = false;
    tracing::info!(server = %given.cluster_url, "the API server");
    Client::try_from(given).map_err(|cause| ClusterError::Unusable { path, cause: Box::new(cause) })
}

async fn from_file(path: &Path) -> Result<Config, ClusterError> {
    let wrong = |cause| ClusterError::Kubeconfig { path: path.display().to_string(), cause };
    let file = Kubeconfig::read_from(path).map_err(wrong)?;
    let names_proxy = |file: &Kubeconfig| {
        file.clusters.iter().filter_map(|named| named.cluster.as_ref()).any(|it| it.proxy_url.is_some())
    };
    let by_file = names_proxy(&file);
    let mut config =
        Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.map_err(wrong)?;
    if !by_file {
        // One of the environment is meant for other programs.
        config.proxy_url = None;
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Ours;

    fn told(kubeconfig: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        std::fs::write(&path, kubeconfig).unwrap();
        ask(Some(path))
    }

    fn ask(kubeconfig: Option<std::path::PathBuf>) -> String {
        let config = Kubernetes {
            kubeconfig,
            namespace: "penstock".to_owned(),
            pool_namespace: "metallb-system".to_owned(),
            ours: Ours { class: "penstock.dev/gateway".to_owned(), classless: false },
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(client(&config)).map(drop).unwrap_err().to_string()
    }

    #[test]
    fn wrong_files_name_the_field_the_file_and_what_is_wrong() {
        let missing = ask(Some("/no/such/kubeconfig".into()));
        assert!(
            missing.starts_with("kubernetes.kubeconfig: /no/such/kubeconfig: failed to read"),
            "{missing}"
        );
        for (text, wanted) in [
            ("{", "parse kubeconfig"),
            ("{apiVersion: v1, kind: Config}", "current context"),
            (
                "{current-context: it, contexts: [{name: it, context: {cluster: it, user: it}}], users: [{name: it}]}",
                "cluster of context",
            ),
            (
                "{current-context: it, contexts: [{name: it, context: {cluster: it, user: it}}], users: [{name: it}], \
                 clusters: [{name: it, cluster: {server: 'https://a', certificate-authority: /no/such/ca}}]}",
                "no/such/ca",
            ),
        ] {
            let told = told(text);
            assert!(told.starts_with("kubernetes.kubeconfig: /") && told.contains(wanted), "{told}");
        }
        let told = ask(None);
        assert!(
            told.starts_with("kubernetes.kubeconfig: is not set") && told.contains("KUBERNETES_"),
            "{told}"
        );
    }
}
