//! Requests and answers over TCP connections that stay: a byte there, a byte back, on 200 of them at once.
//!
//! The same as `tcp_rr`, by sockets of the kernel: what a proxy in front of an API sees, and netperf measures. Clients and
//! servers are ours, each a thread for all of its connections. They may run on both processors, the gateway's too, for an
//! end of a connection costs more than what is between: so all processors are used up, mostly by the ends, and the figure
//! has no target.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::{
    bed::Bed,
    cpu::Moment,
    median,
    objects::{STREAM_PORT, STREAM_TARGET_PORT, address},
    results::Results,
    rounded, short,
    systems::Systems,
};

const CONNECTIONS: usize = 200;
/// What is not counted at the start, while flows become established and busy.
const WARM_UP: Duration = Duration::from_millis(500);
const TIME: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(10);

/// Measures all systems that know Services, in turn.
pub(crate) fn measure(
    systems: &Systems,
    services: usize,
    rounds: usize,
    results: &mut Results,
) -> Result<()> {
    let followers: Vec<_> = systems.all.iter().filter(|system| system.kind.follows_services()).collect();
    let mut all = vec![(Vec::new(), Vec::new()); followers.len()];
    for _ in 0..rounds {
        for (system, (rates, cores)) in followers.iter().zip(&mut all) {
            let (rate, used) =
                run(&system.bed).with_context(|| format!("{}:\n{}", system.kind.name(), system.log()))?;
            rates.push(rate);
            cores.push(used);
        }
    }
    for (system, (rates, cores)) in followers.iter().zip(&mut all) {
        let params = json!({
            "connections": CONNECTIONS, "bytes": 1, "services": services,
            "cpu_cores": rounded(median(cores)), "rounds": rates.clone(), "bound": "both cores, mostly by the ends",
        });
        let name = format!("tcp-rr-sockets/{}/{}", system.kind.name(), short(services as u64));
        results.add(name, median(rates).round(), "per s", params);
    }
    Ok(())
}

/// Transactions a second, and processors used but for this process.
fn run(bed: &Bed) -> Result<(f64, f64)> {
    let (count, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let server = bed.sink.enter(|| serve(Arc::clone(&over)))??;
    let clients = bed.generator.enter(|| ask(Arc::clone(&count), Arc::clone(&over)))??;
    let outcome = counted(&count, &clients);
    over.store(true, Ordering::Release);
    for thread in [clients, server] {
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    }
    outcome
}

fn counted(count: &AtomicU64, clients: &JoinHandle<Result<()>>) -> Result<(f64, f64)> {
    let began = Instant::now();
    while count.load(Ordering::Relaxed) == 0 {
        if clients.is_finished() || began.elapsed() > PATIENCE {
            bail!("no request is answered");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(WARM_UP);
    let (before, moment, began) = (count.load(Ordering::Relaxed), Moment::now(), Instant::now());
    std::thread::sleep(TIME);
    let answered = count.load(Ordering::Relaxed) - before;
    let cores = Moment::now().cores_since(&moment);
    Ok((answered as f64 / began.elapsed().as_secs_f64(), cores))
}

/// Answers on a thread of its own, in the namespace of the caller.
fn serve(over: Arc<AtomicBool>) -> Result<JoinHandle<Result<()>>> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, STREAM_TARGET_PORT))?;
    listener.set_nonblocking(true)?;
    thread(over, async move {
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(echo(stream));
        }
    })
}

async fn echo(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut byte = [0; 1];
    while stream.read(&mut byte).await? > 0 {
        stream.write_all(&byte).await?;
    }
    Ok(())
}

/// Asks on a thread of its own, in the namespace of the caller.
fn ask(count: Arc<AtomicU64>, over: Arc<AtomicBool>) -> Result<JoinHandle<Result<()>>> {
    let target = SocketAddr::from((address(0), STREAM_PORT));
    thread(over, async move {
        let mut connections = JoinSet::new();
        for _ in 0..CONNECTIONS {
            connections.spawn(repeat(target, Arc::clone(&count)));
        }
        match connections.join_next().await {
            Some(ended) => ended?,
            None => Ok(()),
        }
    })
}

/// Without end.
async fn repeat(target: SocketAddr, count: Arc<AtomicU64>) -> Result<()> {
    let mut stream =
        TcpStream::connect(target).await.with_context(|| format!("cannot connect to {target}"))?;
    stream.set_nodelay(true)?;
    let mut byte = [7; 1];
    loop {
        stream.write_all(&byte).await?;
        stream.read_exact(&mut byte).await?;
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// A thread in the caller's namespace, with this to do until it is `over`.
fn thread(
    over: Arc<AtomicBool>,
    work: impl Future<Output = Result<()>> + Send + 'static,
) -> Result<JoinHandle<Result<()>>> {
    let thread = std::thread::Builder::new().name("round-trips".to_owned()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let end = async {
                while !over.load(Ordering::Acquire) {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            tokio::select! {
                // Once it is over the other side may be gone already.
                result = work => if over.load(Ordering::Acquire) { Ok(()) } else { result },
                () = end => Ok(()),
            }
        })
    })?;
    Ok(thread)
}
