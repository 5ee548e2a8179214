//! Any frames, in any order, with time passing and tables changing between batches.
//!
//! Beside what `Gateway` accounts for: what is forwarded has checksums as right, or as wrong, as it came with, one hop
//! less, and a right IPv4 header, and so has what an ICMP error quotes; what we answer is right in all; what is passed on is untouched,
//! and what is relayed but for its MACs.

use super::{
    gateway::{Gateway, Left, tables},
    input::Input,
    shots::shot,
};
use crate::packets::{Check, Checks, checks, quoted};
use penstock_dataplane::path::Verdict;
use std::time::Duration;

/// The first byte says how many workers and flows, then come batches.
pub fn process(data: &[u8]) {
    let mut input = Input::new(data);
    let size = input.byte();
    let mut gateway = Gateway::new(1 + u16::from(size & 1), if size & 2 == 0 { 64 } else { 3 });
    let mut snapshot = tables(0);
    // More batches find nothing that these do not.
    for _ in 0..64 {
        if input.is_empty() {
            break;
        }
        let what = input.byte();
        match what >> 6 {
            0 | 1 => {
                let frames = (0..=what & 7).map(|_| shot(&mut input)).collect();
                for left in gateway.send(frames, snapshot) {
                    check(&left);
                }
            }
            2 => gateway.wait(Duration::from_millis(u64::from(input.word()) * u64::from(what & 0x3f))),
            _ => snapshot = tables(what & 0x3f),
        }
    }
    gateway.settle();
}

fn check(left: &Left) {
    let Left { before, verdict, after, pieces } = left;
    let context = || format!("{verdict:?}\nbefore {before:02x?}\nafter  {after:02x?}");
    let read = |frame: &[u8]| checks(frame).unwrap_or_else(|| panic!("no packet left: {}", context()));
    match verdict {
        Verdict::Forward(_) | Verdict::Split(..) => {
            let (was, is) = (read(before), read(after));
            assert_eq!(is.hops + 1, was.hops, "one hop less: {}", context());
            assert_ne!(is.header, Check::Wrong, "header checksum: {}", context());
            assert_eq!(kept(&was), kept(&is), "checksum of the upper layer: {}", context());
            let about = [before, after].map(|frame| quoted(frame).and_then(|quoted| checks(&quoted)));
            if let [Some(was), Some(is)] = about {
                assert_eq!((was.header, kept(&was)), (is.header, kept(&is)), "quotation: {}", context());
            }
            assert_eq!(about[0].is_some(), about[1].is_some(), "a quotation was lost: {}", context());
            if let Verdict::Split(_, mtu) = verdict {
                assert!(pieces.len() > 1, "cut into one: {}", context());
                for piece in pieces {
                    assert_eq!(read(piece).header, Check::Right, "a piece: {}", context());
                    assert!(piece.len() <= usize::from(*mtu) + 22, "a piece too long: {}", context());
                }
            }
        }
        Verdict::Relay(_) => {
            assert_eq!(before[12..], after[12..], "it goes as it came but for its MACs: {}", context());
        }
        Verdict::Reply(..) => {
            let is = read(after);
            assert_ne!(is.header, Check::Wrong, "header of our answer: {}", context());
            assert_eq!(is.upper, Check::Right, "checksum of our answer: {}", context());
        }
        Verdict::Pass | Verdict::Hold(_) | Verdict::Handoff(_) => {
            assert_eq!(before, after, "it goes as it came: {}", context());
        }
        Verdict::Drop(_) => {}
    }
}

/// What must stay: whether the upper layer's checksum is right.
fn kept(checks: &Checks) -> (u8, Check) {
    (checks.protocol, checks.upper)
}
