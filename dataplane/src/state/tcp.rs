//! TCP tracking: the transition table of Linux nf_conntrack, as `service-semantics.md` §6.1 gives it.
//!
//! In: the state of a flow, a direction, the flags of a segment. Out: the next state, "ignore" (forward without a
//! change), or "invalid" (must not be forwarded). One look-up in a constant table.
//!
//! Sequence numbers are looked at for resets alone ([`reset_is_in_window`]): a flow keeps four bytes a direction for it.

use super::Direction;
use crate::wire::TcpFlags;

/// States of a tracked connection, by the names of nf_conntrack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[repr(u8)]
pub enum TcpState {
    /// Nothing seen.
    None,
    /// SYN sent by the client.
    SynSent,
    /// SYN+ACK seen from the backend.
    SynRecv,
    /// Open.
    Established,
    /// One side has sent FIN.
    FinWait,
    /// That FIN was acknowledged.
    CloseWait,
    /// Both sides have sent FIN.
    LastAck,
    /// Both FINs were acknowledged.
    TimeWait,
    /// Reset.
    Close,
    /// Simultaneous open.
    SynSent2,
}

/// What a segment's flags mean for the tracking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum TcpEvent {
    /// SYN without ACK.
    Syn,
    /// SYN with ACK.
    SynAck,
    /// FIN.
    Fin,
    /// ACK alone.
    Ack,
    /// RST.
    Rst,
    /// An illegal combination.
    Illegal,
}

impl TcpEvent {
    /// How many there are.
    pub(super) const COUNT: usize = 6;

    /// Sorts flags as nf_conntrack does: RST, then SYN, then FIN, then ACK; ECE, CWR and PSH do not matter.
    #[inline(always)]
    pub const fn of(flags: TcpFlags) -> Self {
        EVENTS[flags.0 as usize % EVENTS.len()]
    }

    const fn decide(flags: TcpFlags) -> Self {
        if !flags.legal() {
            Self::Illegal
        } else if flags.contains(TcpFlags::RST) {
            Self::Rst
        } else if flags.contains(TcpFlags::SYN) {
            if flags.contains(TcpFlags::ACK) { Self::SynAck } else { Self::Syn }
        } else if flags.contains(TcpFlags::FIN) {
            Self::Fin
        } else {
            Self::Ack
        }
    }
}

/// What a segment does to the tracked state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    /// Go to this state.
    To(TcpState),
    /// Forward, nothing changes.
    Ignore,
    /// Drop: a NAT must never let it through untranslated, nor act on it.
    Invalid,
}

impl TcpState {
    /// What `event`, seen in `direction`, does in this state.
    #[inline]
    pub fn on(self, direction: Direction, event: TcpEvent) -> Transition {
        TRANSITIONS[direction as usize][event as usize][self as usize]
    }

    /// Whether a new SYN of the client starts a new flow with a new decision (§6.1, "SYN reusing a tuple").
    #[inline]
    pub fn reopens(self) -> bool {
        matches!(self, Self::TimeWait | Self::Close)
    }

    /// The name that conntrack tools print.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::SynSent => "SYN_SENT",
            Self::SynRecv => "SYN_RECV",
            Self::Established => "ESTABLISHED",
            Self::FinWait => "FIN_WAIT",
            Self::CloseWait => "CLOSE_WAIT",
            Self::LastAck => "LAST_ACK",
            Self::TimeWait => "TIME_WAIT",
            Self::Close => "CLOSE",
            Self::SynSent2 => "SYN_SENT2",
        }
    }
}

/// Whether a reset with this sequence number may end a connection whose other end, for whom it is, has last acknowledged
/// `acked` (0: nothing yet, or a SYN without acknowledgement). A reset that answers a segment has exactly that number, one
/// sent of its own accord is ahead by what is under way; one behind the receiver would not take either (RFC 9293
/// §3.10.7.4), nor one far ahead (RFC 5961 §3.2). Only the receiver's own segments say what it has acknowledged, so who
/// forges the sender's address has to guess it.
#[inline]
pub fn reset_is_in_window(acked: u32, seq: u32) -> bool {
    acked == 0 || seq.wrapping_sub(acked) < RESET_WINDOW
}

/// What may be under way, in bytes. If it is more, the reset that answers the next segment ends the connection.
const RESET_WINDOW: u32 = 1 << 20;

/// By the six lower flags; the upper two are ECN's and do not count.
const EVENTS: [TcpEvent; 64] = {
    let mut events = [TcpEvent::Illegal; 64];
    let mut flags = 0;
    while flags < events.len() {
        events[flags] = TcpEvent::decide(TcpFlags(flags as u8));
        flags += 1;
    }
    events
};

/// By direction and event, a bit for each state that stays as it is.
pub(super) const STEADY: [[u16; TcpEvent::COUNT]; 2] = {
    let mut steady = [[0; TcpEvent::COUNT]; 2];
    let mut cell = 0;
    while cell < 2 * 6 * 10 {
        let (direction, event, state) = (cell / 60, cell / 10 % 6, cell % 10);
        let stays = match TRANSITIONS[direction][event][state] {
            To(next) => next as usize == state,
            Transition::Ignore => true,
            Transition::Invalid => false,
        };
        steady[direction][event] |= (stays as u16) << state;
        cell += 1;
    }
    steady
};

use self::TcpState::*;
use Transition::To;
const IV: Transition = Transition::Invalid;
const IG: Transition = Transition::Ignore;
const SS: Transition = To(SynSent);
const SR: Transition = To(SynRecv);
const ES: Transition = To(Established);
const FW: Transition = To(FinWait);
const CW: Transition = To(CloseWait);
const LA: Transition = To(LastAck);
const TW: Transition = To(TimeWait);
const CL: Transition = To(Close);
const S2: Transition = To(SynSent2);

/// By direction, event and state, in the order of their declarations.
#[rustfmt::skip]
const TRANSITIONS: [[[Transition; 10]; 6]; 2] = [
    [   // Client to VIP.
        //NO  SS  SR  ES  FW  CW  LA  TW  CL  S2
        [ SS, SS, IG, IG, IG, IG, IG, SS, SS, S2], // SYN
        [ IV, IV, SR, IV, IV, IV, IV, IV, IV, SR], // SYN+ACK
        [ IV, IV, FW, FW, LA, LA, LA, TW, CL, IV], // FIN
        [ ES, IV, ES, ES, CW, CW, TW, TW, CL, IV], // ACK
        [ IV, CL, CL, CL, CL, CL, CL, CL, CL, CL], // RST
        [ IV, IV, IV, IV, IV, IV, IV, IV, IV, IV], // what none of these is
    ],
    [   // Backend to client.
        [ IV, S2, IV, IV, IV, IV, IV, SS, IV, S2], // SYN
        [ IV, SR, IG, IG, IG, IG, IG, IG, IG, SR], // SYN+ACK
        [ IV, IV, FW, FW, LA, LA, LA, TW, CL, IV], // FIN
        [ IV, IG, SR, ES, CW, CW, TW, TW, CL, IG], // ACK
        [ IV, CL, CL, CL, CL, CL, CL, CL, CL, CL], // RST
        [ IV, IV, IV, IV, IV, IV, IV, IV, IV, IV], // what none of these is
    ],
];

#[cfg(test)]
mod tests {
    use super::*;

    /// §6.1's table as it stands there; columns NO SS SR ES FW CW LA TW CL S2.
    const SPEC: &str = "
        orig SYN      | SS SS IG IG IG IG IG SS SS S2
        orig SYN+ACK  | IV IV SR IV IV IV IV IV IV SR
        orig FIN      | IV IV FW FW LA LA LA TW CL IV
        orig ACK      | ES IV ES ES CW CW TW TW CL IV
        orig RST      | IV CL CL CL CL CL CL CL CL CL
        reply SYN     | IV S2 IV IV IV IV IV SS IV S2
        reply SYN+ACK | IV SR IG IG IG IG IG IG IG SR
        reply FIN     | IV IV FW FW LA LA LA TW CL IV
        reply ACK     | IV IG SR ES CW CW TW TW CL IG
        reply RST     | IV CL CL CL CL CL CL CL CL CL";
    const COLUMNS: [TcpState; 10] =
        [None, SynSent, SynRecv, Established, FinWait, CloseWait, LastAck, TimeWait, Close, SynSent2];

    fn flags(text: &str) -> TcpFlags {
        match text {
            "SYN" => TcpFlags::SYN,
            "SYN+ACK" => TcpFlags::SYN | TcpFlags::ACK,
            "FIN" => TcpFlags::FIN | TcpFlags::ACK,
            "ACK" => TcpFlags::ACK | TcpFlags::PSH,
            "RST" => TcpFlags::RST,
            other => panic!("{other}"),
        }
    }

    // S-192
    #[test]
    fn every_cell_is_as_specified() {
        let names = ["NO", "SS", "SR", "ES", "FW", "CW", "LA", "TW", "CL", "S2"];
        let mut cells = 0;
        for line in SPEC.lines().filter(|line| line.contains('|')) {
            let (head, row) = line.split_once('|').unwrap();
            let (direction, event) = head.trim().split_once(' ').unwrap();
            let direction = if direction == "orig" { Direction::Forward } else { Direction::Reply };
            for (state, cell) in COLUMNS.into_iter().zip(row.split_whitespace()) {
                let expected = match cell {
                    "IV" => Transition::Invalid,
                    "IG" => Transition::Ignore,
                    name => To(COLUMNS[names.iter().position(|n| *n == name).unwrap()]),
                };
                let event = TcpEvent::of(flags(event.trim()));
                assert_eq!(state.on(direction, event), expected, "{head} in {state:?}");
                cells += 1;
            }
        }
        assert_eq!(cells, 100);
    }

    // S-195
    #[test]
    fn a_reset_counts_from_what_is_acknowledged_on() {
        for acked in [1, 5000, u32::MAX, u32::MAX - 10, 1 << 31] {
            for (ahead, counts) in [
                (0, true),
                (1, true),
                (64_000, true),
                (RESET_WINDOW - 1, true),
                (RESET_WINDOW, false),
                (1 << 31, false),
                (u32::MAX, false),
            ] {
                assert_eq!(
                    reset_is_in_window(acked, acked.wrapping_add(ahead)),
                    counts,
                    "{acked} and {ahead}"
                );
            }
        }
        assert!(reset_is_in_window(0, 0) && reset_is_in_window(0, 1 << 31), "nothing is acknowledged yet");
    }

    // S-192
    #[test]
    fn illegal_flags_are_invalid_everywhere() {
        for flags in
            [TcpFlags::SYN | TcpFlags::FIN, TcpFlags::SYN | TcpFlags::RST, TcpFlags::default(), TcpFlags::FIN]
        {
            for state in COLUMNS {
                assert_eq!(
                    state.on(Direction::Forward, TcpEvent::of(flags)),
                    Transition::Invalid,
                    "{flags:?}"
                );
            }
        }
    }
}
