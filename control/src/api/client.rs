//! The asking side.

use super::{Reply, Request};
use std::{
    io::{BufRead, BufReader, ErrorKind, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens, or we may not ask.
    #[error("{socket}: {source}; is `penstock run` running, with this socket, and are you root?")]
    Unreachable {
        /// The socket.
        socket: String,
        /// Why.
        source: std::io::Error,
    },
    /// Somebody listens, but does not answer in time.
    #[error("{socket}: no answer within {} s; the appliance is busy: try again, or ask for less (`--limit`)", PATIENCE.as_secs())]
    Silent {
        /// The socket.
        socket: String,
    },
    /// The answer makes no sense.
    #[error("{socket}: the answer is not understood: {source}; are both ends of the same version?")]
    Garbled {
        /// The socket.
        socket: String,
        /// Why.
        source: serde_json::Error,
    },
    /// The appliance says no.
    #[error("{0}")]
    Refused(String),
}

/// Asks the appliance behind `socket`.
pub fn ask(socket: &Path, request: &Request) -> Result<serde_json::Value, ClientError> {
    let name = || socket.display().to_string();
    let answer = exchange(socket, request).map_err(|source| match source.kind() {
        // What a socket says whose time is up.
        ErrorKind::WouldBlock | ErrorKind::TimedOut => ClientError::Silent { socket: name() },
        _ => ClientError::Unreachable { socket: name(), source },
    })?;
    match serde_json::from_str(&answer) {
        Ok(Reply::Ok(value)) => Ok(value),
        Ok(Reply::Error(error)) => Err(ClientError::Refused(error)),
        Err(source) => Err(ClientError::Garbled { socket: name(), source }),
    }
}

fn exchange(socket: &Path, request: &Request) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_string(request)?;
    line.push('\n');
    stream.write_all(line.as_bytes())?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    Ok(answer)
}
