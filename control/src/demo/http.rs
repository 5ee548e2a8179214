//! The smallest honest HTTP/1.1 client: one request on a connection of its own.
//!
//! A library would hide what is being tested, by keeping connections or by trying again.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// The most that is read of an answer.
const LIMIT_BYTES: u64 = 64 * 1024;

/// An answer with status 200.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The body, without the white space around it.
    pub body: String,
}

/// Asks `to` for `/`, with `patience` for connecting and for every read.
pub fn get(to: SocketAddr, patience: Duration) -> io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&to, patience)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    stream.write_all(format!("GET / HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut bytes = Vec::new();
    stream.take(LIMIT_BYTES).read_to_end(&mut bytes)?;
    parse(&bytes)
}

/// Takes an answer apart. A body shorter than promised is an error: the connection broke.
fn parse(bytes: &[u8]) -> io::Result<Answer> {
    let fault = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let text = std::str::from_utf8(bytes).map_err(|_| fault("the answer is not text"))?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(|| fault("the answer ends within its head"))?;
    let mut lines = head.lines();
    let status = lines.next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("200") {
        return Err(fault(&format!("the answer is `{status}`")));
    }
    let promised = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse::<usize>().ok());
    if promised.is_some_and(|promised| promised != body.len()) {
        return Err(fault("the body is not as long as its head says"));
    }
    Ok(Answer { body: body.trim().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_taken_apart() {
        let whole = parse(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nbackend-1\n").unwrap();
        assert_eq!(whole.body, "backend-1");
        for (broken, why) in [
            (&b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nbackend-1\n"[..], "long"),
            (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "502"),
            (b"HTTP/1.1 200 OK\r\n", "head"),
            (b"", "head"),
            (b"\xff\xfe\r\n\r\n", "text"),
        ] {
            let error = parse(broken).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
