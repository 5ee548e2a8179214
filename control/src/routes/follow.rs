//! [`Routes`]: the handle the rest of the control plane holds, and the task behind it, which turns in a circle:
//! look up what is doubtful, ask for neighbours, publish the view if it changed, wait for news.
//!
//! News is gathered for 2 ms before conclusions are drawn, as the kernel tells of one change in many messages.
//! When the conversation with the kernel breaks off, it is opened again and everything is read anew; meanwhile
//! the last view stays.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use imbl::{OrdSet, ordmap, ordset};
use thiserror::Error;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tracing::{debug, info, warn};

use super::kernel::{Kernel, NetlinkError, News};
use super::state::State;
use super::view::{Change, InterfaceEvent, Unresolved, View};

const GATHER: Duration = Duration::from_millis(2);
/// How long a burst is given to pass.
const AFTER_OVERRUN: Duration = Duration::from_millis(50);
const TICK: Duration = Duration::from_secs(1);
/// In how many ticks every target is looked up without a reason: path MTUs that expire and the like are not told.
const REFRESH_TICKS: usize = 30;

/// Routes are not followed (any more).
#[derive(Debug, Error)]
pub enum RoutesError {
    /// The kernel could not be asked.
    #[error("routes and neighbours cannot be read: {0}")]
    Netlink(#[from] NetlinkError),
    /// Two ports, or two interfaces, are the same.
    #[error("interface {name} (port {port}) is given twice: each interface and each port must be unique")]
    Duplicate {
        /// The second of the two.
        name: String,
        /// Its port.
        port: u8,
    },
    /// The task behind the handle is gone, which happens only when its runtime shuts down.
    #[error("routes and neighbours are no longer followed: the task that did so has ended")]
    Ended,
}

/// Follows the ways to a set of addresses.
#[derive(Debug)]
pub struct Routes {
    targets: watch::Sender<OrdSet<IpAddr>>,
    /// Targets that were not waited for yet.
    awaited: BTreeSet<IpAddr>,
    view: watch::Receiver<Arc<View>>,
    seen: Arc<View>,
    task: JoinHandle<()>,
}

impl Routes {
    /// Reads the state of the network namespace of the calling thread, and follows it from there on. An interface
    /// that does not exist is waited for: the view says so.
    ///
    /// Must be called within a tokio runtime whose threads are all in that namespace.
    pub async fn open(interfaces: Vec<(u8, String)>) -> Result<Self, RoutesError> {
        for (n, (port, name)) in interfaces.iter().enumerate() {
            if interfaces[..n].iter().any(|(other, other_name)| other == port || other_name == name) {
                return Err(RoutesError::Duplicate { name: name.clone(), port: *port });
            }
        }
        let kernel = Kernel::open()?;
        let mut state = State::new(interfaces);
        state.restart(kernel.read_all().await?);
        let seen = Arc::new(state.view());
        let (targets, wanted) = watch::channel(OrdSet::new());
        let (published, view) = watch::channel(Arc::clone(&seen));
        let task = tokio::spawn(Follower { state, wanted, published }.run(kernel));
        Ok(Self { targets, awaited: BTreeSet::new(), view, seen, task })
    }

    /// Sets the addresses to reach. Their ways are in the view at one of the next [`changed`](Self::changed).
    pub fn set_targets(&mut self, targets: OrdSet<IpAddr>) {
        let awaited = &mut self.awaited;
        self.targets.send_if_modified(|current| {
            let mut modified = false;
            for item in current.diff(&targets) {
                modified = true;
                match item {
                    ordset::DiffItem::Add(target) => drop(awaited.insert(*target)),
                    ordset::DiffItem::Remove(target) => drop(awaited.remove(target)),
                }
            }
            *current = targets;
            modified
        });
    }

    /// The newest view.
    pub fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.borrow())
    }

    /// Waits until the view differs from that of the last call (or of [`open`](Self::open)), and says in what.
    /// May be cancelled at any time without losing a change.
    pub async fn changed(&mut self) -> Result<Change, RoutesError> {
        loop {
            self.view.changed().await.map_err(|_| RoutesError::Ended)?;
            let newest = Arc::clone(&self.view.borrow_and_update());
            let change = Change::between(&self.seen, &newest);
            self.seen = newest;
            if change != Change::default() {
                return Ok(change);
            }
        }
    }

    /// Waits until every target that is new since the last time has its way or a lasting reason for having none,
    /// `patience` at the most. Says whether that was reached. What it saw pass still counts as news for
    /// [`changed`](Self::changed).
    pub async fn settled(&mut self, patience: Duration) -> bool {
        let mut awaited = std::mem::take(&mut self.awaited);
        if awaited.is_empty() {
            return true;
        }
        let mut view = self.view.clone();
        let settled = view.wait_for(|view| {
            let known = |target: &IpAddr| view.ways.get(target).is_some_and(|way| !is_pending(&way.link));
            // What is known once is known: of many targets each is looked at a few times, not with every news.
            while awaited.first().is_some_and(known) {
                awaited.pop_first();
            }
            awaited.iter().all(known)
        });
        matches!(timeout(patience, settled).await, Ok(Ok(_)))
    }

    /// Stops following, and has the kernel no longer keep our neighbours fresh. Dropping the handle does the same
    /// in the background, if the runtime lives on.
    pub async fn close(self) {
        let Self { targets, task, .. } = self;
        drop(targets);
        // A task that was cancelled or that panicked has nothing left to release.
        let _ended = task.await;
    }
}

fn is_pending<T>(link: &Result<T, Unresolved>) -> bool {
    link.as_ref().is_err_and(Unresolved::is_pending)
}

/// The task behind [`Routes`].
struct Follower {
    state: State,
    wanted: watch::Receiver<OrdSet<IpAddr>>,
    published: watch::Sender<Arc<View>>,
}

impl Follower {
    async fn run(mut self, mut kernel: Kernel) {
        while let Err(error) = self.follow(&mut kernel).await {
            warn!(%error, "routes and neighbours are not followed for the moment; trying again");
            kernel = loop {
                sleep(TICK).await;
                match self.reopen().await {
                    Ok(kernel) => break kernel,
                    Err(error) => debug!(%error, "still no conversation with the kernel"),
                }
                if self.wanted.has_changed().is_err() {
                    return;
                }
            };
        }
    }

    async fn reopen(&mut self) -> Result<Kernel, NetlinkError> {
        let kernel = Kernel::open()?;
        self.state.restart(kernel.read_all().await?);
        Ok(kernel)
    }

    /// Turns until the handle is dropped.
    async fn follow(&mut self, kernel: &mut Kernel) -> Result<(), NetlinkError> {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.conclude(kernel).await?;
            tokio::select! {
                news = kernel.next() => {
                    let first = news?;
                    sleep(GATHER).await;
                    let rest = kernel.drain();
                    self.take(kernel, first, rest).await?;
                }
                changed = self.wanted.changed() => {
                    let open = changed.is_ok();
                    let targets = if open { self.wanted.borrow_and_update().clone() } else { OrdSet::new() };
                    self.state.set_targets(&targets);
                    if !open {
                        return kernel.release(self.state.take_released()).await;
                    }
                }
                _ = tick.tick() => self.state.doubt_in_turn(REFRESH_TICKS),
                () = std::future::ready(()), if self.state.is_doubtful() => {}
            }
        }
    }

    async fn take(&mut self, kernel: &mut Kernel, first: News, rest: News) -> Result<(), NetlinkError> {
        match (first, rest) {
            (News::Events(first), News::Events(rest)) => {
                first.into_iter().chain(rest).for_each(|event| self.state.apply(event));
            }
            (News::Overrun, _) | (_, News::Overrun) => {
                warn!("the kernel had more news than its buffer holds; reading everything again");
                // A socket that has overrun goes on losing news, without saying so again, until it has been emptied
                // once. A new one, which listens before everything is read, loses nothing.
                sleep(AFTER_OVERRUN).await;
                *kernel = self.reopen().await?;
            }
        }
        Ok(())
    }

    /// Draws the conclusions from what is known.
    async fn conclude(&mut self, kernel: &Kernel) -> Result<(), NetlinkError> {
        let doubtful = self.state.take_doubtful();
        for (target, answer) in kernel.look_up(doubtful).await? {
            self.state.answered(target, answer);
        }
        let released = self.state.take_released();
        kernel.release(released).await?;
        let asks = self.state.due_asks(Instant::now());
        for (key, outcome) in kernel.ask(asks).await? {
            self.state.asked(key, outcome);
        }
        if self.state.take_touched() {
            self.publish();
        }
        Ok(())
    }

    fn publish(&mut self) {
        let view = Arc::new(self.state.view());
        self.published.send_if_modified(|current| {
            if **current == *view {
                return false;
            }
            report(&Change::between(current, &view), current, &view);
            *current = view;
            true
        });
    }
}

/// Logs what an operator wants to know of a change.
fn report(change: &Change, before: &View, after: &View) {
    for event in &change.interfaces {
        match event {
            InterfaceEvent::Appeared { name, index, .. } => info!(%name, index, "interface appeared"),
            InterfaceEvent::Vanished { name, .. } => {
                warn!(%name, "interface vanished; waiting for its return")
            }
            InterfaceEvent::Altered { name, .. } => info!(%name, "interface changed"),
        }
    }
    if !change.ways {
        return;
    }
    let (mut lost, mut example) = (0_u32, None);
    for item in before.ways.diff(&after.ways) {
        let (target, was, way) = match item {
            ordmap::DiffItem::Add(target, way) => (target, None, way),
            ordmap::DiffItem::Update { old: (_, was), new: (target, way) } => (target, Some(&was.link), way),
            ordmap::DiffItem::Remove(..) => continue,
        };
        match &way.link {
            link if was == Some(link) => {}
            Ok(link) => debug!(%target, ?link, "way found"),
            Err(reason) if reason.is_pending() => debug!(%target, %reason, "no way yet"),
            Err(reason) => {
                debug!(%target, %reason, "no way");
                lost += 1;
                example = Some((target, reason));
            }
        }
    }
    // One line, however many: a link that fails may take thousands along.
    if let Some((target, reason)) = example {
        warn!(%target, %reason, also = lost - 1, "no way to a backend");
    }
}
