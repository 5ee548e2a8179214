//! SCTP tracking, by the states of Linux nf_conntrack: enough to tell how long an idle association is to be kept.
//!
//! In: the state of a flow, a direction, the first chunk of a packet (control chunks come first, RFC 9260 §6.10). Out:
//! the next state. Verification tags are not followed: only those that RFC 9260 §8.5.1 fixes (0 in an INIT, which
//! travels alone, and nowhere else) are asked for. A packet in the middle of an association that nobody knows is taken
//! as open, as with TCP, so that a peer gateway can take over.

use super::Direction;
use crate::wire::{Sctp, SctpChunk};

/// States of a tracked association, by the names of nf_conntrack; both directions of a shutdown are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SctpState {
    /// INIT seen.
    CookieWait,
    /// COOKIE ECHO seen.
    CookieEchoed,
    /// Open.
    Established,
    /// One side has sent SHUTDOWN.
    Shutdown,
    /// The other has sent SHUTDOWN ACK.
    ShutdownAckSent,
    /// Over: aborted, or shut down.
    Closed,
    /// HEARTBEAT seen, and nothing before it.
    HeartbeatSent,
}

/// What a packet means for the tracking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SctpEvent {
    /// INIT.
    Init,
    /// INIT ACK.
    InitAck,
    /// COOKIE ECHO.
    CookieEcho,
    /// COOKIE ACK.
    CookieAck,
    /// HEARTBEAT.
    Heartbeat,
    /// HEARTBEAT ACK.
    HeartbeatAck,
    /// ABORT.
    Abort,
    /// ERROR.
    Error,
    /// SHUTDOWN.
    Shutdown,
    /// SHUTDOWN ACK.
    ShutdownAck,
    /// SHUTDOWN COMPLETE.
    ShutdownComplete,
    /// DATA, SACK, and whatever else changes no state.
    Other,
}

impl SctpEvent {
    /// What the packet in `l4` means. `None`: no packet of SCTP's.
    pub fn of(l4: &[u8]) -> Option<Self> {
        let packet = Sctp::parse(l4).ok()?;
        let mut chunks = packet.chunks();
        let first = chunks.next()?;
        let is_init = first.chunk_type == SctpChunk::INIT;
        if is_init != (packet.verification_tag() == 0) || (is_init && chunks.next().is_some()) {
            return None;
        }
        Some(match first.chunk_type {
            SctpChunk::INIT => Self::Init,
            SctpChunk::INIT_ACK => Self::InitAck,
            SctpChunk::COOKIE_ECHO => Self::CookieEcho,
            SctpChunk::COOKIE_ACK => Self::CookieAck,
            SctpChunk::HEARTBEAT => Self::Heartbeat,
            SctpChunk::HEARTBEAT_ACK => Self::HeartbeatAck,
            SctpChunk::ABORT => Self::Abort,
            SctpChunk::ERROR => Self::Error,
            SctpChunk::SHUTDOWN => Self::Shutdown,
            SctpChunk::SHUTDOWN_ACK => Self::ShutdownAck,
            SctpChunk::SHUTDOWN_COMPLETE => Self::ShutdownComplete,
            _ => Self::Other,
        })
    }
}

impl SctpState {
    /// The state of a flow that a packet of the client opens. `None`: such a packet opens none.
    pub fn first(event: SctpEvent) -> Option<Self> {
        match event {
            SctpEvent::Init => Some(Self::CookieWait),
            SctpEvent::CookieEcho => Some(Self::CookieEchoed),
            SctpEvent::Heartbeat => Some(Self::HeartbeatSent),
            SctpEvent::Shutdown => Some(Self::Shutdown),
            SctpEvent::Other | SctpEvent::HeartbeatAck => Some(Self::Established),
            SctpEvent::InitAck
            | SctpEvent::CookieAck
            | SctpEvent::Abort
            | SctpEvent::Error
            | SctpEvent::ShutdownAck
            | SctpEvent::ShutdownComplete => None,
        }
    }

    /// The state after `event` was seen in `direction`. What does not fit changes nothing.
    pub fn on(self, direction: Direction, event: SctpEvent) -> Self {
        match (self, event, direction) {
            (_, SctpEvent::Abort, _) => Self::Closed,
            (Self::HeartbeatSent, SctpEvent::Init, Direction::Forward) => Self::CookieWait,
            (Self::CookieWait | Self::HeartbeatSent, SctpEvent::CookieEcho, _) => Self::CookieEchoed,
            (Self::CookieEchoed, SctpEvent::CookieAck, _) => Self::Established,
            // "Stale cookie": the client has to begin anew.
            (Self::CookieEchoed, SctpEvent::Error, Direction::Reply) => Self::Closed,
            (Self::HeartbeatSent, SctpEvent::HeartbeatAck, Direction::Reply) => Self::Established,
            (Self::Established, SctpEvent::Shutdown, _) => Self::Shutdown,
            (Self::Shutdown, SctpEvent::ShutdownAck, _) => Self::ShutdownAckSent,
            (Self::ShutdownAckSent, SctpEvent::ShutdownComplete, _) => Self::Closed,
            _ => self,
        }
    }

    /// Whether a new INIT of the client starts a new flow with a new decision, as a SYN does for TCP.
    pub fn reopens(self) -> bool {
        self == Self::Closed
    }

    /// The name that conntrack tools print.
    pub fn name(self) -> &'static str {
        match self {
            Self::CookieWait => "COOKIE_WAIT",
            Self::CookieEchoed => "COOKIE_ECHOED",
            Self::Established => "ESTABLISHED",
            Self::Shutdown => "SHUTDOWN",
            Self::ShutdownAckSent => "SHUTDOWN_ACK_SENT",
            Self::Closed => "CLOSED",
            Self::HeartbeatSent => "HEARTBEAT_SENT",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(tag: u32, chunks: &[u8]) -> Vec<u8> {
        let mut l4 = vec![0, 1, 0, 2];
        l4.extend(tag.to_be_bytes());
        l4.extend([0; 4]);
        for chunk in chunks {
            l4.extend([*chunk, 0, 0, 4]);
        }
        l4
    }

    #[test]
    fn an_init_travels_alone_and_without_a_tag() {
        assert_eq!(SctpEvent::of(&packet(0, &[SctpChunk::INIT])), Some(SctpEvent::Init));
        for wrong in [
            packet(5, &[SctpChunk::INIT]),
            packet(0, &[SctpChunk::INIT, SctpChunk::DATA]),
            packet(0, &[SctpChunk::DATA]),
            packet(0, &[SctpChunk::ABORT]),
            packet(7, &[]),
            vec![0; 11],
        ] {
            assert_eq!(SctpEvent::of(&wrong), None, "{wrong:?}");
        }
        let echo = packet(7, &[SctpChunk::COOKIE_ECHO, SctpChunk::DATA]);
        assert_eq!(SctpEvent::of(&echo), Some(SctpEvent::CookieEcho));
    }

    #[test]
    fn an_abort_ends_every_state() {
        use SctpState::*;
        for state in [CookieWait, CookieEchoed, Established, Shutdown, ShutdownAckSent, Closed, HeartbeatSent]
        {
            for direction in [Direction::Forward, Direction::Reply] {
                assert_eq!(state.on(direction, SctpEvent::Abort), Closed);
                assert_eq!(state.on(direction, SctpEvent::Other), state);
            }
        }
    }
}
