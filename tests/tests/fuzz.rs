//! The fuzz targets over everything that fuzzing has found: what covers new code, and what has crashed.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use pcap_file::pcap::PcapReader;
use penstock_tests::fuzz::{TARGETS, Target, parse};
use std::{
    fs, panic,
    path::{Path, PathBuf},
};

/// The files of a folder; none if it isn't there.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<_> =
        entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect();
    files.sort();
    files
}

fn holds(target: Target, bytes: &[u8]) -> bool {
    panic::catch_unwind(|| target(bytes)).is_ok()
}

#[test]
fn what_was_found_holds() {
    let mut failed = Vec::new();
    for (name, target) in TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
        let corpus = files(&folder.join("corpus").join(name));
        assert!(!corpus.is_empty(), "{name} has no corpus");
        for file in corpus.into_iter().chain(files(&folder.join("crashes").join(name))) {
            if !holds(target, &fs::read(&file).unwrap()) {
                failed.push(file);
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

/// What the vectors have is all read without a fault, cut off anywhere.
#[test]
fn frames_of_the_vectors_are_parsed() {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors");
    let mut frames = 0;
    for folder in fs::read_dir(vectors).unwrap().map(|entry| entry.unwrap().path()) {
        for name in ["in.pcap", "out.pcap"] {
            let Ok(file) = fs::File::open(folder.join(name)) else { continue };
            let mut reader = PcapReader::new(file).unwrap();
            while let Some(packet) = reader.next_packet() {
                let frame = packet.unwrap().data;
                (0..=frame.len().min(120)).for_each(|len| parse(&frame[..len]));
                parse(&frame);
                frames += 1;
            }
        }
    }
    assert!(frames > 500, "only {frames} frames");
}
