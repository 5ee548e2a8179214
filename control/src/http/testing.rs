//! Real requests over loopback.

use axum::http::{HeaderMap, Method, Request};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    ops::Range,
    sync::atomic::{AtomicU16, Ordering},
};

/// What came back.
pub(super) struct Answer {
    pub(super) code: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Answer {
    /// A header, or nothing.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// Asks on a connection of its own; `Err` if there is nobody.
pub(super) async fn ask(method: Method, at: SocketAddr, path: &str) -> Result<Answer, ureq::Error> {
    let uri = format!("http://{at}{path}");
    let asking = tokio::task::spawn_blocking(move || {
        let config = ureq::config::Config::builder().http_status_as_error(false).proxy(None);
        let agent = ureq::Agent::new_with_config(config.allow_non_standard_methods(true).build());
        let request = Request::builder().method(method).uri(uri).body(()).unwrap();
        let mut response = agent.run(request)?;
        let body = response.body_mut().read_to_string()?;
        Ok(Answer { code: response.status().as_u16(), headers: response.headers().clone(), body })
    });
    asking.await.unwrap()
}

pub(super) async fn get(at: SocketAddr, path: &str) -> Answer {
    ask(Method::GET, at, path).await.unwrap()
}

/// A port that nobody else in this process is given, free now in both families. Below the range that the kernel hands
/// out by itself, so that no connection and no other listener comes by it while the test has it closed; and elsewhere
/// for each process, since somebody else may run the same tests.
pub(super) fn free_port() -> u16 {
    const PORTS: Range<u16> = 12_000..32_000;
    const EACH: u32 = 100;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = std::process::id().wrapping_mul(EACH);
    loop {
        let number = first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed).into());
        let port = PORTS.start + (number % PORTS.len() as u32) as u16;
        let everywhere = [IpAddr::from(Ipv4Addr::UNSPECIFIED), Ipv6Addr::UNSPECIFIED.into()];
        if everywhere.into_iter().all(|address| TcpListener::bind((address, port)).is_ok()) {
            return port;
        }
    }
}
