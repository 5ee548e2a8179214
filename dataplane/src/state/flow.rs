//! One flow: both of its tuples and all that a packet of it needs.

use super::{LastHopId, Millis, SctpState, TcpEvent, TcpState, Tuple, tcp};
use crate::{
    lane::{Counted, FlowLane},
    table::{BackendId, NextHopId, ServiceId},
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

/// A [`FlowState`] in one byte, as a flow keeps it: a packet asks it one question without taking it apart.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct StateCode(u8);

impl StateCode {
    /// Whether a packet of this direction, and for TCP with these flags, leaves the state with this number as it is, whatever
    /// the time and whatever else is in the packet. In doubt it says no; of what is no state's number, too. One test for all
    /// protocols.
    #[inline(always)]
    pub fn is_steady(number: u32, direction: Direction, flags: TcpFlags) -> bool {
        let steady = STEADY[usize::from(flags.0)][direction as usize];
        number < u32::BITS && steady >> number & 1 != 0
    }

    /// Its number.
    #[inline(always)]
    pub fn number(self) -> u8 {
        self.0
    }

    /// The state.
    #[inline]
    pub fn get(self) -> FlowState {
        STATES[usize::from(self.0)]
    }
}

impl From<FlowState> for StateCode {
    #[inline]
    fn from(state: FlowState) -> Self {
        Self(state.number())
    }
}

impl std::fmt::Debug for StateCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.get().fmt(f)
    }
}

/// All states, by their numbers.
const STATES: [FlowState; 20] = [
    FlowState::Tcp(TcpState::None),
    FlowState::Tcp(TcpState::SynSent),
    FlowState::Tcp(TcpState::SynRecv),
    FlowState::Tcp(TcpState::Established),
    FlowState::Tcp(TcpState::FinWait),
    FlowState::Tcp(TcpState::CloseWait),
    FlowState::Tcp(TcpState::LastAck),
    FlowState::Tcp(TcpState::TimeWait),
    FlowState::Tcp(TcpState::Close),
    FlowState::Tcp(TcpState::SynSent2),
    FlowState::UdpUnreplied,
    FlowState::UdpReplied,
    FlowState::UdpStream,
    FlowState::Sctp(SctpState::CookieWait),
    FlowState::Sctp(SctpState::CookieEchoed),
    FlowState::Sctp(SctpState::Established),
    FlowState::Sctp(SctpState::Shutdown),
    FlowState::Sctp(SctpState::ShutdownAckSent),
    FlowState::Sctp(SctpState::Closed),
    FlowState::Sctp(SctpState::HeartbeatSent),
];

impl FlowState {
    /// Its place among [`STATES`].
    #[inline]
    const fn number(self) -> u8 {
        match self {
            Self::Tcp(state) => state as u8,
            Self::UdpUnreplied => 10,
            Self::UdpReplied => 11,
            Self::UdpStream => 12,
            Self::Sctp(state) => 13 + state as u8,
        }
    }

    /// How early a full table may evict it: 0 first, `None` never (§6.3, "resource exhaustion").
    pub fn eviction_rank(self) -> Option<u8> {
        match self {
            Self::Tcp(TcpState::None | TcpState::SynSent | TcpState::SynSent2 | TcpState::SynRecv) => Some(0),
            Self::UdpUnreplied | Self::Sctp(SctpState::CookieWait | SctpState::HeartbeatSent) => Some(0),
            Self::Tcp(TcpState::Close | TcpState::TimeWait | TcpState::LastAck) => Some(1),
            Self::Sctp(SctpState::Closed | SctpState::ShutdownAckSent) => Some(1),
            Self::Tcp(TcpState::Established | TcpState::FinWait | TcpState::CloseWait) => None,
            Self::UdpReplied | Self::UdpStream => None,
            Self::Sctp(SctpState::CookieEchoed | SctpState::Established | SctpState::Shutdown) => None,
        }
    }
}

/// By TCP's flags, of which ECN's make no difference, and direction: a bit for each state that stays as it is. UDP has no flags, and its age
/// matters until it is a stream; SCTP's events are in its chunks.
const STEADY: [[u32; 2]; 256] = {
    let mut steady = [[0; 2]; 256];
    let mut at = 0;
    while at < 2 * steady.len() {
        let (flags, direction) = (at / 2, at % 2);
        let tcp = tcp::STEADY[direction][TcpEvent::of(TcpFlags(flags as u8)) as usize] as u32;
        let unreplied = (direction == Direction::Forward as usize) as u32;
        steady[flags][direction] =
            tcp | unreplied << FlowState::UdpUnreplied.number() | 1 << FlowState::UdpStream.number();
        at += 1;
    }
    steady
};

impl Direction {
    /// The opposite one.
    #[inline(always)]
    pub fn other(self) -> Self {
        match self {
            Self::Forward => Self::Reply,
            Self::Reply => Self::Forward,
        }
    }

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

/// What a translation adds to a packet's checksums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Deltas {
    /// To that of TCP or UDP.
    pub transport: Delta,
    /// To that of the IPv4 header, the hop that is taken included.
    pub header: Delta,
}

/// Packets and bytes (of IP) of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Traffic {
    /// Packets.
    pub packets: u64,
    /// Bytes, from the IP header on.
    pub bytes: u64,
}

/// A tracked flow, all of it. The table keeps it in two parts (`record.rs`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow<F: Family> {
    /// Client to VIP, as it arrives.
    pub original: Tuple<F>,
    /// Backend to us (or to the client, where its address is kept), as it arrives.
    pub reply: Tuple<F>,
    /// State.
    pub state: StateCode,
    /// What translating a packet adds to its checksums, by [`Direction`].
    pub deltas: [Deltas; 2],
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
    pub last_hop: LastHopId,
    /// When it was opened.
    pub created: Millis,
    /// When its last packet came, in either direction.
    pub last_seen: Millis,
    /// By [`Direction`].
    pub traffic: [Traffic; 2],
    /// The lane it goes by, of which a table by itself knows nothing.
    pub lane: FlowLane,
}

impl<F: Family> Flow<F> {
    /// Adds what was counted of it elsewhere.
    pub(super) fn add(&mut self, counted: &Counted) {
        for (mine, theirs) in self.traffic.iter_mut().zip(counted.traffic) {
            mine.packets += theirs.packets;
            mine.bytes += theirs.bytes;
        }
        if let Some(seen) = counted.last_seen
            && seen.reached(self.last_seen)
        {
            self.last_seen = seen;
        }
    }

    /// How early a full table may evict it; see [`FlowState::eviction_rank`].
    pub fn eviction_rank(&self) -> Option<u8> {
        self.state.get().eviction_rank()
    }
}
