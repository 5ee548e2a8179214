//! Whole TCP connections: connect, ask, read the answer to its end, close.
//!
//! * In: targets in turn, so many connections a second, a bound. Out: how many were answered, why others failed, and the
//!   times of connecting and of answering.
//! * The connections are the kernel's, bound to one interface by SO_BINDTODEVICE; a thread for each that may be open at a
//!   time. Good for tens of thousands a second; floods are the senders' job.

use std::{
    collections::BTreeMap,
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use serde::Serialize;
use socket2::{Domain, Protocol, Socket, Type};

use crate::{
    measure::{Latency, LatencySummary},
    spec::Bound,
};

/// What to ask.
#[derive(Debug, Clone)]
pub struct Requests {
    /// The interface that connections are bound to.
    pub interface: String,
    /// Whom, in turn.
    pub targets: Vec<SocketAddr>,
    /// Connections a second; 0: as many as can be.
    pub per_second: u64,
    /// Connections that may be open at a time.
    pub at_once: usize,
    /// What is sent.
    pub request: Vec<u8>,
    /// How long connecting, or an answer, may take.
    pub patience: Duration,
    /// When to stop.
    pub bound: Bound,
}

/// What became of them.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answers {
    /// Connections that were begun.
    pub begun: u64,
    /// Answered to the end.
    pub answered: u64,
    /// Bytes of answers.
    pub bytes: u64,
    /// Why others failed, and how many.
    pub failures: BTreeMap<String, u64>,
    /// How long it all took.
    pub seconds: f64,
    /// From SYN to an open connection.
    pub connect: LatencySummary,
    /// From SYN to the end of the answer.
    pub answer: LatencySummary,
    /// Whether it was stopped before its bound.
    pub interrupted: bool,
}

#[derive(Default)]
struct Account {
    answers: Answers,
    connect: Latency,
    answer: Latency,
}

/// Asks until the bound or `stop`. `watch` is told how many were begun and answered.
pub fn request(requests: &Requests, stop: &AtomicBool, mut watch: impl FnMut(u64, u64)) -> Result<Answers> {
    if requests.targets.is_empty() {
        bail!("to: name somebody to connect to, as 10.96.0.10:80");
    }
    let account = Mutex::new(Account::default());
    let next = AtomicU64::new(0);
    let began = Instant::now();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..requests.at_once.max(1))
            .map(|_| scope.spawn(|| ask_in_turn(requests, stop, began, &next, &account)))
            .collect();
        while threads.iter().any(|thread| !thread.is_finished()) {
            std::thread::sleep(Duration::from_millis(20));
            let answered = lock(&account).answers.answered;
            watch(next.load(Ordering::Relaxed).min(requests.bound.packets), answered);
        }
    });
    let account = account.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut answers = account.answers;
    answers.seconds = began.elapsed().as_secs_f64();
    (answers.connect, answers.answer) = (account.connect.summary(), account.answer.summary());
    answers.interrupted = stop.load(Ordering::Acquire);
    Ok(answers)
}

fn lock(account: &Mutex<Account>) -> std::sync::MutexGuard<'_, Account> {
    account.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a thread does.
fn ask_in_turn(
    requests: &Requests,
    stop: &AtomicBool,
    began: Instant,
    next: &AtomicU64,
    account: &Mutex<Account>,
) {
    let is_over = || stop.load(Ordering::Acquire) || began.elapsed() >= requests.bound.duration;
    while !is_over() {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= requests.bound.packets {
            return;
        }
        if requests.per_second > 0 {
            let due = began + Duration::from_secs_f64(number as f64 / requests.per_second as f64);
            while let Some(left) = due.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
                if is_over() {
                    return;
                }
                std::thread::sleep(left.min(Duration::from_millis(20)));
            }
        }
        let target = requests.targets[(number % requests.targets.len() as u64) as usize];
        lock(account).answers.begun += 1;
        let result = ask(requests, target);
        let mut account = lock(account);
        match result {
            Ok((connect, answer, bytes)) => {
                account.connect.enter(connect.as_nanos() as u64);
                account.answer.enter(answer.as_nanos() as u64);
                account.answers.answered += 1;
                account.answers.bytes += bytes;
            }
            Err(why) => *account.answers.failures.entry(why).or_default() += 1,
        }
    }
}

/// One connection: how long until it was open, how long until the answer's end, and its bytes.
fn ask(requests: &Requests, target: SocketAddr) -> Result<(Duration, Duration, u64), String> {
    let step = |step: &'static str| {
        move |error: std::io::Error| match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => format!("{step}: no answer in time"),
            kind => format!("{step}: {kind}"),
        }
    };
    let socket = Socket::new(Domain::for_address(target), Type::STREAM, Some(Protocol::TCP))
        .map_err(step("socket"))?;
    socket.bind_device(Some(requests.interface.as_bytes())).map_err(step("bind to the interface"))?;
    let began = Instant::now();
    socket.connect_timeout(&target.into(), requests.patience).map_err(step("connect"))?;
    let connect = began.elapsed();
    let mut stream = TcpStream::from(socket);
    stream.set_nodelay(true).map_err(step("socket"))?;
    stream.set_read_timeout(Some(requests.patience)).map_err(step("socket"))?;
    stream.set_write_timeout(Some(requests.patience)).map_err(step("socket"))?;
    stream.write_all(&requests.request).map_err(step("send"))?;
    let (mut buffer, mut bytes) = ([0; 16_384], 0);
    loop {
        match stream.read(&mut buffer).map_err(step("receive"))? {
            0 if bytes == 0 => return Err("receive: closed without an answer".to_owned()),
            0 => return Ok((connect, began.elapsed(), bytes)),
            more => bytes += more as u64,
        }
    }
}
