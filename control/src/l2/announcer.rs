//! The task that announces: it lends its sockets and its clock to the [`claims`](super::claims).
//!
//! In: what this node is to announce ([`Announcer::set`]), who the other gateways are, and whether to defend. Out: frames
//! on the interfaces that clients are behind, and [`L2Event`]s. Interfaces are looked at every second, and whenever the
//! kernel tells of a change. Cost: about a microsecond a frame of ARP or neighbour discovery; ten thousand addresses take
//! some 200 ms to be announced once, as the bursts are spread so that neither our queue nor the switches' overflow.

use super::{
    claim::Action,
    claims::Claims,
    event::{L2Event, Wanted},
    frame::Say,
    links::{LinkChange, Links},
    socket::{self, Protocol},
};
use futures::{FutureExt, StreamExt, channel::mpsc::UnboundedReceiver as News};
use penstock_dataplane::wire::EtherAddr;
use rtnetlink::{
    MulticastGroup, packet_core::NetlinkMessage, packet_route::RouteNetlinkMessage, sys::SocketAddr,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::IpAddr,
    time::{Duration, Instant},
};
use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinHandle},
    time::{MissedTickBehavior, interval, sleep_until},
};
use tracing::warn;

/// How often interfaces are looked at without a reason.
const RESCAN: Duration = Duration::from_secs(1);
/// So many claims are served in one go, and the next so much later.
const BATCH: usize = 64;
const BATCHES_APART: Duration = Duration::from_millis(1);

/// Announcing cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum AnnouncerError {
    /// A packet socket could not be opened.
    #[error("cannot open a packet socket, which announcing addresses needs: {0}; run with CAP_NET_RAW")]
    Socket(#[source] io::Error),
    /// No interface was given.
    #[error("there is no interface to announce addresses on; give one the role `client`")]
    NoInterface,
}

/// Announces addresses until it is dropped, and is silent from then on.
#[derive(Debug)]
pub struct Announcer {
    orders: mpsc::UnboundedSender<Order>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
enum Order {
    Set(BTreeMap<IpAddr, Wanted>),
    Peers(BTreeSet<EtherAddr>),
    Proceed(BTreeSet<IpAddr>),
    Defending(bool),
}

impl Announcer {
    /// Starts to announce, nothing at first, on these interfaces of the network namespace of the calling thread. One that
    /// does not exist is waited for. `gratuitous` is how often everything is announced unasked, besides the bursts.
    ///
    /// Must be called within a tokio runtime whose threads are all in that namespace.
    pub fn start(
        interfaces: Vec<String>,
        gratuitous: Option<Duration>,
    ) -> Result<(Self, mpsc::UnboundedReceiver<L2Event>), AnnouncerError> {
        if interfaces.is_empty() {
            return Err(AnnouncerError::NoInterface);
        }
        // Index 0 is every interface: whether a socket may be had at all is known at once. It is closed again.
        socket::open(Protocol::Arp, 0).map_err(AnnouncerError::Socket)?;
        let (orders, taken) = mpsc::unbounded_channel();
        let (told, events) = mpsc::unbounded_channel();
        let (news, driver) = link_news();
        let task = Task {
            claims: Claims::new(interfaces.clone(), gratuitous),
            links: Links::new(interfaces),
            told,
            not_before: Instant::now(),
            driver,
        };
        Ok((Self { orders, task: tokio::spawn(task.run(taken, news)) }, events))
    }

    /// Sets what is announced. What is not in it is neither answered for nor announced from then on; what is new is first
    /// asked for, and what a stranger has is asked for again.
    pub fn set(&self, wanted: BTreeMap<IpAddr, Wanted>) {
        self.order(Order::Set(wanted));
    }

    /// Adds to the MACs of the other gateways. Give those of gateways that are not alive, too, while anything is known of
    /// them: one that is cut off from the API server goes on answering, and must not be taken for a stranger. None is
    /// forgotten while this one runs.
    pub fn set_peers(&self, peers: BTreeSet<EtherAddr>) {
        self.order(Order::Peers(peers));
    }

    /// Says that the packet path knows the former owners of these addresses, so that they can be announced here without
    /// harm to the flows that began there. Answers [`L2Event::TakingOver`].
    pub fn proceed(&self, addresses: BTreeSet<IpAddr>) {
        self.order(Order::Proceed(addresses));
    }

    /// Says whether addresses are held against other gateways; true at first. While it is false, as when the API server
    /// is away, an address that another gateway announces is given up, until it is true again: call
    /// [`set`](Self::set) before with what is to be announced then.
    pub fn set_defending(&self, defending: bool) {
        self.order(Order::Defending(defending));
    }

    /// Stops, and returns when nothing is answered any more.
    pub async fn close(self) {
        let Self { orders, task } = self;
        drop(orders);
        // A task that was cancelled or that panicked has closed its sockets as well.
        let _ended = task.await;
    }

    fn order(&self, order: Order) {
        // The task ends before its handle only when the runtime shuts down.
        let _ended = self.orders.send(order);
    }
}

type LinkNews = News<(NetlinkMessage<RouteNetlinkMessage>, SocketAddr)>;

/// What the kernel tells of interfaces, and the task that hears it. Without it, the look every second must do.
fn link_news() -> (Option<LinkNews>, Option<AbortHandle>) {
    match rtnetlink::new_multicast_connection(&[MulticastGroup::Link]) {
        Ok((connection, _, news)) => (Some(news), Some(tokio::spawn(connection).abort_handle())),
        Err(error) => {
            warn!(%error, "changes of interfaces are not told of, so they are looked for every second");
            (None, None)
        }
    }
}

/// The task behind [`Announcer`].
struct Task {
    claims: Claims,
    links: Links,
    told: mpsc::UnboundedSender<L2Event>,
    /// When the next batch of claims may be served.
    not_before: Instant,
    driver: Option<AbortHandle>,
}

impl Drop for Task {
    fn drop(&mut self) {
        self.driver.iter().for_each(AbortHandle::abort);
    }
}

impl Task {
    async fn run(mut self, mut orders: mpsc::UnboundedReceiver<Order>, mut news: Option<LinkNews>) {
        let mut rescan = interval(RESCAN);
        rescan.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let due = self.claims.next().map(|due| due.max(self.not_before));
            tokio::select! {
                // Above all, what is no longer ours is not answered for.
                biased;
                order = orders.recv() => match order {
                    Some(order) => self.obey(order),
                    None => return,
                },
                () = sleep_until(due.unwrap_or_else(Instant::now).into()), if due.is_some() => {
                    self.hear_what_is_there();
                    let now = Instant::now();
                    self.claims.tick(now, BATCH);
                    self.not_before = now + BATCHES_APART;
                }
                (port, heard) = self.links.heard() => self.claims.heard(port, heard, Instant::now()),
                _ = rescan.tick() => self.rescan(),
                told = next(&mut news) => match told {
                    Some(_) => self.rescan(),
                    None => news = None,
                },
            }
            self.act();
        }
    }

    /// However late we are, an answer that came in time counts: without it, silence would be what is acted upon.
    fn hear_what_is_there(&mut self) {
        for _ in 0..BATCH {
            let Some((port, heard)) = self.links.heard().now_or_never() else { return };
            self.claims.heard(port, heard, Instant::now());
        }
    }

    fn obey(&mut self, order: Order) {
        let now = Instant::now();
        match order {
            Order::Set(wanted) => {
                self.claims.set(wanted, now);
                self.listen();
            }
            Order::Peers(peers) => self.claims.add_peers(peers, now),
            Order::Proceed(addresses) => self.claims.proceed(&addresses, now),
            Order::Defending(defending) => self.claims.set_defending(defending, now),
        }
    }

    fn rescan(&mut self) {
        let changes = self.links.rescan();
        for change in &changes {
            match *change {
                LinkChange::Up(port, mac) => self.claims.up(port, mac, Instant::now()),
                LinkChange::Down(port) => self.claims.down(port),
            }
        }
        if !changes.is_empty() {
            self.listen();
        }
    }

    /// Brings the multicast groups in line with the claims.
    fn listen(&mut self) {
        for port in 0..self.claims.ports() {
            self.links.set_groups(port, &self.claims.groups(port));
        }
    }

    fn act(&mut self) {
        for (port, action) in std::mem::take(&mut self.claims.actions) {
            match action {
                Action::Say(say) => self.links.send(port, is_arp(say), |own| say.frames(own)),
                Action::Tell(event) => {
                    // Whoever does not listen does not want to know.
                    let _ignored = self.told.send(event);
                }
            }
        }
    }
}

fn is_arp(say: Say) -> bool {
    let (Say::Answer(address, _) | Say::Announce(address) | Say::Probe(address)) = say;
    address.is_ipv4()
}

async fn next(news: &mut Option<LinkNews>) -> Option<()> {
    match news {
        Some(news) => news.next().await.map(|_| ()),
        None => std::future::pending().await,
    }
}
