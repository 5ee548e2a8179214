//! The thread that receives.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::channel,
    },
    thread::JoinHandle,
};

use anyhow::{Context, Result, bail};

use super::inlet::Inlet;
use crate::{
    link,
    measure::{ArrivalCounts, Arrivals, Latency, LatencySummary},
    spec::Destination,
};

/// Turns after the end was asked for in which what is there already is still received.
const LAST_TURNS: u32 = 1000;

/// What arrived.
#[derive(Debug, Clone, Default)]
pub struct Received {
    /// Frames of the run, doubles included.
    pub packets: u64,
    /// What became of those that were looked at.
    pub arrivals: ArrivalCounts,
    /// What must have been sent at least, to go by the highest numbers.
    pub sent_at_least: u64,
    /// How long they were under way.
    pub latency: Latency,
    /// Frames that arrived and that this thread was too slow for.
    pub missed: u64,
    /// Whether times of arrival are the kernel's.
    pub is_stamped: bool,
}

/// How far it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Look {
    /// Frames so far.
    pub packets: u64,
    /// The latency since the last look.
    pub latency: LatencySummary,
}

#[derive(Debug, Default)]
struct Shared {
    received: Received,
    since_look: Latency,
}

/// A thread that receives until it is ended.
#[derive(Debug)]
pub struct Receiver {
    shared: Arc<Mutex<Shared>>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Receiver {
    /// Starts it; when this returns it is ready. `flows` is how many the run has, and `sample` how many frames one is
    /// looked at of.
    pub fn start(place: &Destination, run: u16, flows: usize, sample: u32) -> Result<Receiver> {
        let (shared, ends) = (Arc::new(Mutex::new(Shared::default())), Arc::new(AtomicBool::new(false)));
        let (ready, is_ready) = channel();
        let thread = {
            let (place, shared, ends) = (place.clone(), shared.clone(), ends.clone());
            std::thread::Builder::new().name("receive".to_owned()).spawn(move || {
                let open = || {
                    place.namespace.as_deref().map_or(Ok(()), link::enter)?;
                    Inlet::open(&place.interface, run, sample)
                };
                let inlet = match open() {
                    Ok(inlet) => inlet,
                    Err(error) => {
                        let _ = ready.send(Err(error));
                        return Ok(());
                    }
                };
                let _ = ready.send(Ok(()));
                run_until(&ends, inlet, &shared, run, flows, sample)
            })?
        };
        is_ready
            .recv()
            .context("the thread that receives has died")?
            .with_context(|| format!("cannot receive on {}", place.interface))?;
        Ok(Receiver { shared, ends, thread: Some(thread) })
    }

    /// How far it is.
    pub fn look(&self) -> Look {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let look = Look { packets: shared.received.packets, latency: shared.since_look.summary() };
        shared.since_look.clear();
        look
    }

    /// Ends it.
    pub fn end(mut self) -> Result<Received> {
        self.ends.store(true, Ordering::Release);
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result?,
            _ => bail!("the thread that receives panicked"),
        }
        let shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(shared.received.clone())
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run_until(
    ends: &AtomicBool,
    mut inlet: Inlet,
    shared: &Mutex<Shared>,
    run: u16,
    flows: usize,
    sample: u32,
) -> Result<()> {
    let mut arrivals = Arrivals::new(flows);
    let mut times = Vec::new();
    let mut read = 0_u64;
    let mut left = LAST_TURNS;
    loop {
        let is_over = ends.load(Ordering::Acquire);
        let any = inlet.receive(|mark, is_whole, arrived_ns| {
            // A packet socket sees all runs and all frames.
            if mark.run != run || (sample > 1 && mark.number % sample != 0) {
                return;
            }
            read += 1;
            if arrivals.enter(mark, is_whole) {
                times.push(mark.age_ns(arrived_ns));
            }
        })?;
        let packets = inlet.counted()?.unwrap_or(read);
        let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
        for time in times.drain(..) {
            shared.received.latency.enter(time);
            shared.since_look.enter(time);
        }
        shared.received.packets = packets;
        shared.received.arrivals = arrivals.counts();
        left -= u32::from(is_over);
        if is_over && (!any || left == 0) {
            shared.received.sent_at_least = arrivals.sent_at_least();
            shared.received.missed = inlet.missed()?;
            shared.received.is_stamped = inlet.is_stamped();
            return Ok(());
        }
    }
}
