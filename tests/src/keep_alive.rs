//! An HTTP connection that is kept: request after request on one TCP connection.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
};

use crate::PATIENCE;

/// One connection.
#[derive(Debug)]
pub struct KeepAlive {
    stream: BufReader<TcpStream>,
}

impl KeepAlive {
    /// Connects.
    pub fn connect(to: SocketAddr) -> io::Result<KeepAlive> {
        let stream = TcpStream::connect_timeout(&to, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self::over(stream))
    }

    /// On a connection that is there.
    pub fn over(stream: TcpStream) -> KeepAlive {
        KeepAlive { stream: BufReader::new(stream) }
    }

    /// Our end of it.
    pub fn local(&self) -> io::Result<SocketAddr> {
        self.stream.get_ref().local_addr()
    }

    /// One request; returns the body. An answer that ends the connection is an error.
    pub fn ask(&mut self) -> io::Result<String> {
        self.send()?;
        self.receive()
    }

    /// The request.
    pub fn send(&mut self) -> io::Result<()> {
        self.stream.get_mut().write_all(b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n")
    }

    /// The answer to a request.
    pub fn receive(&mut self) -> io::Result<String> {
        let fault = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
        let mut status = String::new();
        self.stream.read_line(&mut status)?;
        if !status.starts_with("HTTP/1.1 200") {
            return Err(fault(format!("the answer is `{}`", status.trim())));
        }
        let mut length = 0;
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line)?;
            let Some((name, value)) = line.trim().split_once(':') else { break };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().map_err(|_| fault(line.clone()))?,
                "connection" if value.trim() == "close" => return Err(fault("the server closes".to_owned())),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        String::from_utf8(body).map(|body| body.trim().to_owned()).map_err(|error| fault(error.to_string()))
    }
}
