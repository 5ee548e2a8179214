//! Every class of packet, its verdict and the counters it moves: one folder of `tests/vectors` each.
//!
//! A vector is a list of frames with the verdict that is due to each. From it come `in.pcap`, and by a replay of that
//! `out.pcap` (what the gateway sends) and `counters` (what moved with each packet, and in all). The files are
//! committed, and the test fails on any difference, so a change of behaviour shows as a diff of bytes. `REGEN=1` writes
//! them anew; `manifests.yaml` and `penstock.yaml` belong to all, unless a folder has its own. A verdict that is not the
//! stated one fails with `REGEN=1` too.
//!
//! By hand: `penstock replay VECTOR/in.pcap --config tests/vectors/penstock.yaml --manifests VECTOR/manifests.yaml -w OUT`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod vector;
mod run;
mod truncated;
mod lengths;
mod fragments;
mod headers;
mod checksums;
mod addresses;
mod limits;
mod icmp;
mod conversations;

use run::{check, folders, root};
use std::collections::BTreeSet;
use vector::Vector;

fn all() -> Vec<Vector> {
    let groups = [
        truncated::vectors(),
        lengths::vectors(),
        fragments::vectors(),
        headers::vectors(),
        checksums::vectors(),
        addresses::vectors(),
        limits::vectors(),
        icmp::vectors(),
        conversations::vectors(),
    ];
    groups.into_iter().flatten().collect()
}

#[test]
fn every_vector_does_what_it_states() {
    let faults: Vec<_> = all().iter().filter_map(|vector| check(vector).err()).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}

#[test]
fn every_folder_is_a_vector() {
    let vectors = all();
    let names: BTreeSet<_> = vectors.iter().map(|vector| vector.name.to_owned()).collect();
    assert_eq!(names.len(), vectors.len(), "two vectors of one name");
    if std::env::var_os("REGEN").is_some() {
        return; // The other test is making them.
    }
    assert_eq!(folders(), names, "folders in {}, and the vectors of this program", root().display());
}
