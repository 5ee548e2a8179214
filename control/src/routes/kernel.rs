//! The conversation with the kernel: all netlink I/O of this folder, and nothing else.
//!
//! Two sockets: one asks (dumps, FIB look-ups, neighbour requests), the other only listens to the multicast groups.
//! On a single socket a burst of news could crowd out an answer, which would then be waited for in vain.
//! A socket belongs to the network namespace of the thread that opens it.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use futures::StreamExt;
use futures::channel::mpsc::UnboundedReceiver;
use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::address::AddressMessage;
use rtnetlink::packet_route::link::LinkMessage;
use rtnetlink::packet_route::neighbour::{
    NeighbourAttribute, NeighbourExtFlags, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use rtnetlink::packet_route::route::{RouteAttribute, RouteMessage};
use rtnetlink::sys::{AsyncSocket, SocketAddr};
use rtnetlink::{Handle, MulticastGroup};
use thiserror::Error;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::asks::Ask;
use super::facts::{Answer, Event, NeighbourKey};
use super::parse;
use super::view::Unresolved;

/// What is listened to.
const GROUPS: [MulticastGroup; 8] = [
    MulticastGroup::Link,
    MulticastGroup::Neigh,
    MulticastGroup::Ipv4Ifaddr,
    MulticastGroup::Ipv6Ifaddr,
    MulticastGroup::Ipv4Route,
    MulticastGroup::Ipv6Route,
    MulticastGroup::Ipv4Rule,
    MulticastGroup::Ipv6Rule,
];
/// Look-ups and requests that are under way at once; their answers fit the socket's default buffer with room.
const CONCURRENT: usize = 32;
/// The listening socket's buffer (the kernel's limit applies): a burst of routes must find room.
const LISTEN_BUFFER_BYTES: i32 = 4 << 20;
/// An answer that takes longer will not come.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why the conversation cannot go on.
#[derive(Debug, Error)]
pub enum NetlinkError {
    /// A socket could not be opened.
    #[error("cannot open a netlink socket: {0}")]
    Open(#[source] std::io::Error),
    /// The kernel refused to tell.
    #[error("cannot read {what}: {source}")]
    Read {
        /// Which table.
        what: &'static str,
        /// The kernel's error.
        source: std::io::Error,
    },
    /// A socket was closed under us, or an answer was lost.
    #[error("the netlink conversation broke off")]
    Lost,
}

/// What the listening socket heard.
#[derive(Debug)]
pub(super) enum News {
    Events(Vec<Event>),
    /// Some was lost: everything must be read again.
    Overrun,
}

type Messages = UnboundedReceiver<(NetlinkMessage<RouteNetlinkMessage>, SocketAddr)>;

/// An open conversation.
pub(super) struct Kernel {
    handle: Handle,
    news: Messages,
    drivers: [AbortHandle; 2],
}

impl Drop for Kernel {
    fn drop(&mut self) {
        self.drivers.iter().for_each(AbortHandle::abort);
    }
}

impl Kernel {
    /// Opens both sockets in the namespace of this thread, and starts to listen.
    pub(super) fn open() -> Result<Self, NetlinkError> {
        let (asking, handle, _) = rtnetlink::new_connection().map_err(NetlinkError::Open)?;
        let (mut listening, _, news) =
            rtnetlink::new_multicast_connection(&GROUPS).map_err(NetlinkError::Open)?;
        if let Err(error) = listening.socket_mut().socket_mut().set_rx_buf_sz(LISTEN_BUFFER_BYTES) {
            tracing::debug!(%error, "the netlink socket keeps its default buffer");
        }
        let drivers = [tokio::spawn(asking).abort_handle(), tokio::spawn(listening).abort_handle()];
        Ok(Self { handle, news, drivers })
    }

    /// Reads links, addresses and neighbours.
    pub(super) async fn read_all(&self) -> Result<Vec<Event>, NetlinkError> {
        let mut events = Vec::new();
        let tables = [
            ("the interfaces", RouteNetlinkMessage::GetLink(LinkMessage::default())),
            ("the addresses", RouteNetlinkMessage::GetAddress(AddressMessage::default())),
            ("the neighbours", RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default())),
        ];
        for (what, request) in tables {
            for payload in self.exchange(request, NLM_F_REQUEST | NLM_F_DUMP).await? {
                match payload {
                    NetlinkPayload::InnerMessage(message) => events.extend(parse::event(message)),
                    NetlinkPayload::Error(error) => {
                        return Err(NetlinkError::Read { what, source: error.to_io() });
                    }
                    _ => {}
                }
            }
        }
        Ok(events)
    }

    /// Asks the FIB for the ways to `targets`.
    pub(super) async fn look_up(
        &self,
        targets: BTreeSet<IpAddr>,
    ) -> Result<Vec<(IpAddr, Answer)>, NetlinkError> {
        let answers = futures::stream::iter(targets)
            .map(|target| async move { Ok((target, self.look_up_one(target).await?)) })
            .buffer_unordered(CONCURRENT)
            .collect::<Vec<_>>();
        answers.await.into_iter().collect()
    }

    async fn look_up_one(&self, target: IpAddr) -> Result<Answer, NetlinkError> {
        let mut query = RouteMessage::default();
        query.header.address_family = family(target);
        query.header.destination_prefix_length = if target.is_ipv4() { 32 } else { 128 };
        query.attributes.push(RouteAttribute::Destination(target.into()));
        let request = RouteNetlinkMessage::GetRoute(query);
        Ok(match self.exchange(request, NLM_F_REQUEST).await?.pop() {
            Some(NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewRoute(route))) => {
                parse::answer(target, &route)
            }
            Some(NetlinkPayload::Error(error)) => Answer::Refused(parse::refusal(&error.to_io())),
            _ => Answer::Refused(Unresolved::LookUpFailed("the kernel gave no answer".into())),
        })
    }

    /// Asks for neighbours, and has the kernel keep them fresh. Returns each outcome.
    pub(super) async fn ask(
        &self,
        asks: Vec<Ask>,
    ) -> Result<Vec<(NeighbourKey, Result<(), String>)>, NetlinkError> {
        let outcomes = futures::stream::iter(asks)
            .map(|ask| async move {
                let flags = if ask.create { NLM_F_CREATE | NLM_F_EXCL } else { NLM_F_CREATE };
                Ok((ask.key, self.use_neighbour(ask.key, flags, NeighbourExtFlags::Managed).await?))
            })
            .buffer_unordered(CONCURRENT)
            .collect::<Vec<_>>();
        outcomes.await.into_iter().collect()
    }

    /// Has the kernel no longer keep neighbours fresh. What has gone by now is not missed.
    pub(super) async fn release(&self, keys: Vec<NeighbourKey>) -> Result<(), NetlinkError> {
        for key in keys {
            let _gone = self.use_neighbour(key, 0, NeighbourExtFlags::empty()).await?;
        }
        Ok(())
    }

    /// `NTF_USE`: as if a packet were to be sent to the neighbour.
    async fn use_neighbour(
        &self,
        key: NeighbourKey,
        flags: u16,
        extended: NeighbourExtFlags,
    ) -> Result<Result<(), String>, NetlinkError> {
        let mut entry = NeighbourMessage::default();
        entry.header.family = family(key.address);
        entry.header.ifindex = key.interface;
        entry.header.state = NeighbourState::None;
        entry.header.flags = NeighbourFlags::Use;
        entry.attributes =
            vec![NeighbourAttribute::Destination(key.address.into()), NeighbourAttribute::ExtFlags(extended)];
        let request = RouteNetlinkMessage::NewNeighbour(entry);
        for payload in self.exchange(request, NLM_F_REQUEST | NLM_F_ACK | flags).await? {
            if let NetlinkPayload::Error(error) = payload {
                return Ok(refused(&error.to_io()));
            }
        }
        Ok(Ok(()))
    }

    async fn exchange(
        &self,
        request: RouteNetlinkMessage,
        flags: u16,
    ) -> Result<Vec<NetlinkPayload<RouteNetlinkMessage>>, NetlinkError> {
        let mut request = NetlinkMessage::from(request);
        request.header.flags = flags;
        let answers = self.handle.clone().request(request).map_err(|_| NetlinkError::Lost)?;
        let payloads = answers.map(|message| message.payload).collect();
        timeout(PATIENCE, payloads).await.map_err(|_| NetlinkError::Lost)
    }

    /// Waits for news.
    pub(super) async fn next(&mut self) -> Result<News, NetlinkError> {
        let (message, _) = self.news.next().await.ok_or(NetlinkError::Lost)?;
        let mut events = Vec::new();
        Ok(if take(message, &mut events) { News::Overrun } else { News::Events(events) })
    }

    /// Takes the news that is there.
    pub(super) fn drain(&mut self) -> News {
        let (mut events, mut overrun) = (Vec::new(), false);
        while let Ok((message, _)) = self.news.try_recv() {
            overrun |= take(message, &mut events);
        }
        if overrun { News::Overrun } else { News::Events(events) }
    }
}

/// Takes in one notification; true if it says that others were lost.
fn take(message: NetlinkMessage<RouteNetlinkMessage>, events: &mut Vec<Event>) -> bool {
    match message.payload {
        NetlinkPayload::Overrun(_) => return true,
        NetlinkPayload::InnerMessage(message) => events.extend(parse::event(message)),
        _ => {}
    }
    false
}

fn refused(error: &std::io::Error) -> Result<(), String> {
    match error.raw_os_error() {
        // Somebody else was faster; the news of it is on its way.
        Some(libc::EEXIST) => Ok(()),
        Some(libc::ENOBUFS) => Err("the kernel's neighbour table is full; raise the sysctls \
             net.ipv4.neigh.default.gc_thresh3 and net.ipv6.neigh.default.gc_thresh3"
            .into()),
        Some(libc::EPERM) => Err("not permitted; run with CAP_NET_ADMIN".into()),
        _ => Err(error.to_string()),
    }
}

fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}
