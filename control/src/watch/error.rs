//! Why something was not written.

use super::follow::chain;
use kube::core::Status;
use std::time::Duration;

/// See the module. `what` is what was to be done, as `patch services/status default/web`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The object is not there, any more or at all.
    #[error("{what}: there is no such object")]
    Gone {
        /// What was to be done.
        what: String,
    },
    /// It is not the object, or not the version, that was meant.
    #[error("{what}: {message}")]
    Conflict {
        /// What was to be done.
        what: String,
        /// What the API server says.
        message: String,
    },
    /// We may not.
    #[error("{what}: {message}; allow it in the ClusterRole or Role that Penstock has")]
    Refused {
        /// What was to be done.
        what: String,
        /// What the API server says: who may not do what to which resource.
        message: String,
    },
    /// The API server finds fault with what was to be written.
    #[error("{what}: {message}")]
    Invalid {
        /// What was to be done.
        what: String,
        /// What the API server says.
        message: String,
    },
    /// Nobody has answered in time, or with an error of its own. It may or may not have been written.
    #[error("{what}: the API server cannot be reached: {cause}")]
    Away {
        /// What was to be done.
        what: String,
        /// Why.
        cause: String,
    },
}

impl WriteError {
    fn new(what: &str, error: &kube::Error) -> Self {
        let what = what.to_owned();
        let kube::Error::Api(status) = error else { return Self::Away { what, cause: chain(error) } };
        let message = status.message.clone();
        match status.code {
            404 => Self::Gone { what },
            // It was meant for an earlier object of the name.
            422 if causes(status).any(|field| field == "metadata.uid") => Self::Gone { what },
            409 => Self::Conflict { what, message },
            401 | 403 => Self::Refused { what, message },
            // Too many requests, and whatever is wrong inside.
            429 | 500.. => Self::Away { what, cause: format!("{} {message}", status.code) },
            _ => Self::Invalid { what, message },
        }
    }
}

/// The fields that the API server finds fault with.
fn causes(status: &Status) -> impl Iterator<Item = &str> {
    status.details.iter().flat_map(|details| &details.causes).map(|cause| cause.field.as_str())
}

/// Waits for an answer, but no longer than `limit`.
pub(super) async fn within<T>(
    limit: Duration,
    what: &str,
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, WriteError> {
    match tokio::time::timeout(limit, request).await {
        Ok(answer) => answer.map_err(|error| WriteError::new(what, &error)),
        Err(_) => Err(WriteError::Away { what: what.to_owned(), cause: format!("no answer in {limit:?}") }),
    }
}
