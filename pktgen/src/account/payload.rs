//! What a datagram says of itself.
//!
//! ```text
//!  0      4      8           16          24
//!  | PSTK | flow | number    | check     | filler, a function of flow and number …
//! ```
//! The check covers everything else, so a datagram changed on its way, or cut, is told from one that was not.

use std::ops::Range;

mod field {
    use super::Range;
    pub(super) const MAGIC: Range<usize> = 0..4;
    pub(super) const FLOW: Range<usize> = 4..8;
    pub(super) const NUMBER: Range<usize> = 8..16;
    pub(super) const CHECK: Range<usize> = 16..24;
    pub(super) const FILLER: usize = 24;
}

const MAGIC: [u8; 4] = *b"PSTK";

/// The shortest payload that has room for a stamp.
pub const MIN_PAYLOAD_BYTES: usize = field::FILLER;

/// Which datagram it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Stamp {
    /// Its flow, from 0.
    pub flow: u32,
    /// Its number within the flow, from 0.
    pub number: u64,
}

/// Why a payload is no datagram of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StampError {
    /// Somebody else's.
    Foreign,
    /// Ours, and changed on its way.
    Corrupt,
}

impl Stamp {
    /// Fills `payload`, which is at least [`MIN_PAYLOAD_BYTES`] long; a shorter one is filled with zeros.
    pub fn write(self, payload: &mut [u8]) {
        payload.fill(0);
        if payload.len() < MIN_PAYLOAD_BYTES {
            return;
        }
        payload[field::MAGIC].copy_from_slice(&MAGIC);
        payload[field::FLOW].copy_from_slice(&self.flow.to_be_bytes());
        payload[field::NUMBER].copy_from_slice(&self.number.to_be_bytes());
        let mut state = self.number ^ (u64::from(self.flow) << 32) ^ 0x9e37_79b9_7f4a_7c15;
        for byte in &mut payload[field::FILLER..] {
            // xorshift64: any stream will do that differs between datagrams.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *byte = state.to_be_bytes()[0];
        }
        let check = check(payload);
        payload[field::CHECK].copy_from_slice(&check.to_be_bytes());
    }

    /// Reads a payload and checks all of it.
    pub fn read(payload: &[u8]) -> Result<Stamp, StampError> {
        if payload.len() < MIN_PAYLOAD_BYTES || payload[field::MAGIC] != MAGIC {
            return Err(StampError::Foreign);
        }
        let stamp = Stamp {
            flow: u32::from_be_bytes(array(&payload[field::FLOW])),
            number: u64::from_be_bytes(array(&payload[field::NUMBER])),
        };
        let stored = u64::from_be_bytes(array(&payload[field::CHECK]));
        if stored == check(payload) { Ok(stamp) } else { Err(StampError::Corrupt) }
    }
}

/// FNV-1a over everything but the check itself, and over the length.
fn check(payload: &[u8]) -> u64 {
    let covered = payload[..field::CHECK.start].iter().chain(&payload[field::FILLER..]);
    let hash = covered.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    hash ^ payload.len() as u64
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(bytes);
    array
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_stamp_comes_back(flow: u32, number: u64, length in MIN_PAYLOAD_BYTES..1500) {
            let mut payload = vec![0; length];
            let stamp = Stamp { flow, number };
            stamp.write(&mut payload);
            prop_assert_eq!(Stamp::read(&payload), Ok(stamp));
        }

        #[test]
        fn any_change_is_seen(flow: u32, number: u64, length in MIN_PAYLOAD_BYTES..200, at: usize, bit in 0_u8..8) {
            let mut payload = vec![0; length];
            Stamp { flow, number }.write(&mut payload);
            payload[at % length] ^= 1_u8 << bit;
            prop_assert!(Stamp::read(&payload).is_err());
        }

        #[test]
        fn a_cut_is_seen(length in MIN_PAYLOAD_BYTES + 1..200, cut in 1_usize..200) {
            let mut payload = vec![0; length];
            Stamp { flow: 1, number: 2 }.write(&mut payload);
            prop_assert!(Stamp::read(&payload[..length.saturating_sub(cut)]).is_err());
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = Stamp::read(&bytes);
        }
    }
}
