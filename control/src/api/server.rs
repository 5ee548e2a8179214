//! The answering side.

use super::{Reply, Request, views};
use crate::runtime::Appliance;
use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
};

/// The longest question.
const LONGEST: u64 = 16 * 1024;
/// How long a client may take to ask.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why the socket can't be opened.
#[derive(Debug, thiserror::Error)]
#[error("socket {path}: {source}; choose another by `socket:`, or stop the appliance that has it")]
pub struct ServerError {
    path: String,
    source: std::io::Error,
}

/// The open socket. Dropping it removes the file.
#[derive(Debug)]
pub struct Server {
    path: PathBuf,
    listener: UnixListener,
}

impl Server {
    /// An error if an appliance answers there.
    pub fn check(path: &Path) -> Result<(), ServerError> {
        match std::os::unix::net::UnixStream::connect(path) {
            Ok(_) => {
                let source = std::io::Error::from(std::io::ErrorKind::AddrInUse);
                Err(ServerError { path: path.display().to_string(), source })
            }
            Err(_) => Ok(()),
        }
    }

    /// Opens the socket with mode 0600. A socket file that nobody listens on any more is replaced.
    pub fn open(path: &Path) -> Result<Self, ServerError> {
        let open = || -> std::io::Result<UnixListener> {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            if path.exists() {
                match std::os::unix::net::UnixStream::connect(path) {
                    Ok(_) => return Err(std::io::Error::from(std::io::ErrorKind::AddrInUse)),
                    Err(_) => std::fs::remove_file(path)?,
                }
            }
            // Nobody else may open it, not even between its creation and a chmod.
            let umask = nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o177));
            let listener = UnixListener::bind(path);
            nix::sys::stat::umask(umask);
            let listener = listener?;
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
            Ok(listener)
        };
        let listener = open().map_err(|source| ServerError { path: path.display().to_string(), source })?;
        Ok(Self { path: path.to_owned(), listener })
    }

    /// Answers questions about `appliance` until the task is aborted, which closes the socket.
    pub async fn serve(self, appliance: Arc<Appliance>) {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let appliance = Arc::clone(&appliance);
                    tokio::spawn(async move {
                        if let Err(error) = converse(stream, appliance).await {
                            tracing::debug!(%error, "a question was not answered");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "the control socket refuses a client");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Somebody else may have removed it.
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn converse(stream: UnixStream, appliance: Arc<Appliance>) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut question = String::new();
    let mut reader = BufReader::new(read.take(LONGEST));
    tokio::time::timeout(PATIENCE, reader.read_line(&mut question)).await??;
    let reply = match serde_json::from_str::<Request>(&question) {
        // Flows are waited for, so not on a thread of the runtime.
        Ok(request) => tokio::task::spawn_blocking(move || views::answer(&appliance, &request)).await?,
        Err(error) => Reply::Error(format!("the question is not understood: {error}")),
    };
    let mut line = serde_json::to_vec(&reply)?;
    line.push(b'\n');
    write.write_all(&line).await
}
