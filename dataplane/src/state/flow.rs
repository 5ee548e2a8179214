//! One flow: both of its tuples and all that a packet of it needs.

use super::{Millis, SctpState, TcpEvent, TcpState, Tuple};
use crate::{
    table::{BackendId, Link, NextHopId, ServiceId},
    wire::{Delta, Family, TcpFlags},
};
use serde::Serialize;

/// Which way a packet of a flow goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[repr(u8)]
pub enum Direction {
    /// From the client to the VIP.
    Forward = 0,
    /// From the backend to the client.
    Reply = 1,
}

/// Where a flow is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum FlowState {
    /// A TCP connection.
    Tcp(TcpState),
    /// UDP that only the client has sent on.
    UdpUnreplied,
    /// UDP that the backend has answered.
    UdpReplied,
    /// UDP answered for longer than two seconds.
    UdpStream,
    /// An SCTP association.
    Sctp(SctpState),
}

impl FlowState {
    /// Its number, those of TCP first and as they are.
    #[inline]
    const fn number(self) -> u8 {
        // By arithmetic, since which of them it is a processor can't guess.
        let tcp = match self {
            Self::Tcp(state) => state as u8,
            Self::UdpUnreplied | Self::UdpReplied | Self::UdpStream | Self::Sctp(_) => 0,
        };
        tcp + 10 * matches!(self, Self::UdpUnreplied) as u8
            + 11 * matches!(self, Self::UdpReplied) as u8
            + 12 * matches!(self, Self::UdpStream) as u8
            + 13 * matches!(self, Self::Sctp(_)) as u8
    }

    /// Whether a packet of this direction, and for TCP with these flags, leaves it as it is, whatever the time. In
    /// doubt it says no. One test for all protocols.
    #[inline]
    pub fn is_steady(self, direction: Direction, flags: TcpFlags) -> bool {
        const ALWAYS: u16 = 1 << FlowState::UdpStream.number();
        const REPLIED: u16 = ALWAYS | 1 << FlowState::UdpReplied.number();
        const FORWARD: u16 = REPLIED | 1 << FlowState::UdpUnreplied.number();
        let steady = TcpEvent::of(flags).steady(direction) | direction.select(FORWARD, REPLIED);
        steady >> self.number() & 1 != 0
    }
}

impl Direction {
    /// The one that is of this direction, without a branch: which way a packet goes is as good as random.
    #[inline(always)]
    pub fn select<T>(self, forward: T, reply: T) -> T {
        std::hint::select_unpredictable(self == Direction::Forward, forward, reply)
    }
}

impl std::fmt::Display for FlowState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Tcp(state) => state.name(),
            Self::UdpUnreplied => "UNREPLIED",
            Self::UdpReplied => "REPLIED",
            Self::UdpStream => "STREAM",
            Self::Sctp(state) => state.name(),
        })
    }
}

/// Packets and bytes (of IP) of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Traffic {
    /// Packets.
    pub packets: u64,
    /// Bytes, from the IP header on.
    pub bytes: u64,
}

/// A tracked flow. It begins a cache line: of IPv4 it is two lines, and not the ends of three.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(align(64))]
pub struct Flow<F: Family> {
    /// Client to VIP, as it arrives.
    pub original: Tuple<F>,
    /// Backend to us (or to the client, where its address is kept), as it arrives.
    pub reply: Tuple<F>,
    /// State.
    pub state: FlowState,
    /// What translating a forward packet adds to its L4 checksum; a reply's is the negative.
    pub delta: Delta,
    /// The same for the IPv4 header checksum.
    pub header_delta: Delta,
    /// The way to the backend.
    pub next_hop: NextHopId,
    /// The backend.
    pub backend: BackendId,
    /// The Service port it was opened for.
    pub service: ServiceId,
    /// TCP, by [`Direction`]: what its sender acknowledged last, or 0. Resets of the other direction are held against it.
    pub acked: [u32; 2],
    /// UDP: [`Tables::udp_epoch`](crate::table::Tables::udp_epoch) when its backend was last found serving.
    pub udp_epoch: u16,
    /// The way back to the client: where its last packet came from.
    pub client: Link,
    /// When it was opened.
    pub created: Millis,
    /// When its last packet came, in either direction.
    pub last_seen: Millis,
    /// By [`Direction`].
    pub traffic: [Traffic; 2],
}

impl<F: Family> Flow<F> {
    /// The tuple of arriving packets of this direction.
    #[inline]
    pub fn tuple(&self, direction: Direction) -> &Tuple<F> {
        direction.select(&self.original, &self.reply)
    }

    /// The tuple that a packet of this direction leaves with.
    #[inline]
    pub fn translated(&self, direction: Direction) -> Tuple<F> {
        direction.select(&self.reply, &self.original).reversed()
    }

    /// Whether the backend sees an address of ours instead of the client's.
    pub fn is_masqueraded(&self) -> bool {
        self.reply.destination != self.original.source
    }

    /// How early a full table may evict it: 0 first, `None` never (§6.3, "resource exhaustion").
    pub fn eviction_rank(&self) -> Option<u8> {
        match self.state {
            FlowState::Tcp(TcpState::None | TcpState::SynSent | TcpState::SynSent2 | TcpState::SynRecv) => {
                Some(0)
            }
            FlowState::UdpUnreplied | FlowState::Sctp(SctpState::CookieWait | SctpState::HeartbeatSent) => {
                Some(0)
            }
            FlowState::Tcp(TcpState::Close | TcpState::TimeWait | TcpState::LastAck) => Some(1),
            FlowState::Sctp(SctpState::Closed | SctpState::ShutdownAckSent) => Some(1),
            FlowState::Tcp(TcpState::Established | TcpState::FinWait | TcpState::CloseWait) => None,
            FlowState::UdpReplied | FlowState::UdpStream => None,
            FlowState::Sctp(SctpState::CookieEchoed | SctpState::Established | SctpState::Shutdown) => None,
        }
    }
}
