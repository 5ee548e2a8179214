//! The API server's REST, as JSON over the unix socket of a `kubectl proxy`.
//!
//! A unix socket is reached from every network namespace, and kubectl keeps the keys. Requests are HTTP/1.0, so that
//! an answer ends where the connection ends.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why there is no answer, or no good one.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// Nobody listens, or the connection broke.
    #[error("{method} {path}: no answer from the API server: {source}")]
    Io {
        /// The verb.
        method: &'static str,
        /// The path.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Something that is no HTTP, or no JSON.
    #[error("{method} {path}: an answer that is not understood: {answer:?}")]
    Garbled {
        /// The verb.
        method: &'static str,
        /// The path.
        path: String,
        /// Its beginning.
        answer: String,
    },
    /// The API server refuses.
    #[error("{method} {path}: {code}: {message}")]
    Refused {
        /// The verb.
        method: &'static str,
        /// The path.
        path: String,
        /// The HTTP status.
        code: u16,
        /// What the Status object says.
        message: String,
    },
}

/// A way to the API server.
#[derive(Debug, Clone)]
pub struct Api {
    socket: PathBuf,
}

impl Api {
    pub(super) fn new(socket: &Path) -> Api {
        Api { socket: socket.to_owned() }
    }

    /// The object or list at `path`.
    pub fn get(&self, path: &str) -> Result<Value, ApiError> {
        self.ask("GET", path, "", None)
    }

    /// Creates an object in the collection `path`.
    pub fn create(&self, path: &str, object: &Value) -> Result<Value, ApiError> {
        self.ask("POST", path, "application/json", Some(object))
    }

    /// Merges `patch` into the object at `path` (or its status, `…/status`).
    pub fn patch(&self, path: &str, patch: &Value) -> Result<Value, ApiError> {
        self.ask("PATCH", path, "application/merge-patch+json", Some(patch))
    }

    /// Deletes an object, or every object of a collection.
    pub fn delete(&self, path: &str) -> Result<Value, ApiError> {
        self.ask("DELETE", path, "", None)
    }

    /// Whether the API server says that it is ready.
    pub fn is_ready(&self) -> bool {
        matches!(self.exchange("GET", "/readyz", "", ""), Ok((200, _)))
    }

    fn ask(
        &self,
        method: &'static str,
        path: &str,
        kind: &str,
        body: Option<&Value>,
    ) -> Result<Value, ApiError> {
        let path_owned = || path.to_owned();
        let body = body.map(Value::to_string).unwrap_or_default();
        let (code, text) = self.exchange(method, path, kind, &body).map_err(|source| ApiError::Io {
            method,
            path: path_owned(),
            source,
        })?;
        let answer: Option<Value> = serde_json::from_str(&text).ok();
        match (code, answer) {
            (200..=299, Some(value)) => Ok(value),
            (300.., Some(status)) => Err(ApiError::Refused {
                method,
                path: path_owned(),
                code,
                message: status["message"].as_str().unwrap_or("no message").to_owned(),
            }),
            (300.., None) => Err(ApiError::Refused { method, path: path_owned(), code, message: text }),
            _ => Err(ApiError::Garbled {
                method,
                path: path_owned(),
                answer: text.chars().take(200).collect(),
            }),
        }
    }

    fn exchange(&self, method: &str, path: &str, kind: &str, body: &str) -> std::io::Result<(u16, String)> {
        let mut stream = UnixStream::connect(&self.socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut request =
            format!("{method} {path} HTTP/1.0\r\nHost: localhost\r\nAccept: application/json\r\n");
        if !kind.is_empty() {
            request += &format!("Content-Type: {kind}\r\nContent-Length: {}\r\n", body.len());
        }
        request += "\r\n";
        request += body;
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let answer = String::from_utf8_lossy(&answer);
        let (head, text) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        Ok((code, text.to_owned()))
    }
}
