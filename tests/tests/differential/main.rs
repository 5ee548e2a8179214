//! The differential test: kube-proxy is the oracle.
//!
//! * Job: find what Penstock does otherwise than kube-proxy (nftables mode) with the same objects.
//! * In: a real API server, so that defaulting, validation and allocation are real; Services, EndpointSlices and what
//!   happens to them, written by hand or random.
//! * How: kube-proxy watches the API server; Penstock reads the same objects, as the API server gives them, from its
//!   folder of manifests. Clients and backends are the same, in two worlds. Each probe is put to both: who may serve
//!   it, whether the source is kept, whether it is rejected or dropped. Then the objects change, and it is asked what
//!   has become of flows that were under way, and of new ones.
//! * Out: for each disagreement its seed, the probe, both answers, and the objects, made as few as can be.
//! * Replay: `make differential N=1 SEED=…` with the seed that a set of objects is reported with. Sets of objects are
//!   served ten at a time, so what one does to another is seen again only with all ten: `N=10`, from the first.
//! * Limits: of SCTP new flows only. A rejection by RST and one by ICMP count as the same. What differs by decision
//!   is in `tests/differential/DIFFERENCES.md`.

#![expect(unreachable_pub, reason = "the modules of one program")]

mod places;
mod arena;
mod canary;
mod case;
mod change;
mod generate;
mod probe;
mod tries;
mod sctp;
mod responder;
mod observe;
mod kept;
mod bench;
mod differences;
mod shrink;
mod random;
mod written;
mod by_hand;
mod underway;
mod by_chance;

use std::io::Write;

fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
