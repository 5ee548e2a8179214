//! A large file through a VIP: every byte, in order, over both families, with frames as a wire would carry them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs::File, io::Read};

use penstock_tests::{Lab, LabOptions, ports, require_root};

const FILE_BYTES: u64 = 100_000_000;

/// Compares without holding both files in memory; returns the offset of the first difference.
fn first_difference(a: &mut impl Read, b: &mut impl Read) -> Option<u64> {
    let (mut chunk_a, mut chunk_b, mut offset) = (vec![0; 1 << 16], vec![0; 1 << 16], 0);
    loop {
        let length = a.read(&mut chunk_a).unwrap();
        let length_b = if length == 0 {
            b.read(&mut chunk_b).unwrap()
        } else {
            match b.read_exact(&mut chunk_b[..length]) {
                Ok(()) => length,
                Err(_) => return Some(offset),
            }
        };
        if length != length_b || chunk_a[..length] != chunk_b[..length] {
            let same = chunk_a.iter().zip(&chunk_b).take_while(|(a, b)| a == b).count();
            return Some(offset + same as u64);
        }
        if length == 0 {
            return None;
        }
        offset += length as u64;
    }
}

#[test]
fn a_difference_is_found() {
    let compare = |a: &[u8], b: &[u8]| first_difference(&mut &*a, &mut &*b);
    assert_eq!(compare(b"abc", b"abc"), None);
    assert_eq!(compare(b"abc", b"abd"), Some(2));
    assert!(compare(b"abc", b"ab").is_some());
    assert!(compare(b"ab", b"abc").is_some());
}

#[test]
fn netns_a_100_mb_file_arrives_byte_for_byte() {
    require_root!();
    let lab = Lab::start(LabOptions::new("file")).unwrap();
    let folder = lab.world.folder.path();
    let original = folder.join("files/random");
    let mut random = File::open("/dev/urandom").unwrap().take(FILE_BYTES);
    std::io::copy(&mut random, &mut File::create(&original).unwrap()).unwrap();
    let peers = [&lab.world.client, &lab.world.backends[0].namespace];
    for peer in peers {
        let offloads = peer.run(&["ethtool", "-k", "eth0"]).unwrap();
        for off in ["tx-checksumming: off", "tx-tcp-segmentation: off", "tx-tcp6-segmentation: off"] {
            assert!(offloads.contains(off), "{}: not {off}: {offloads}", peer.name());
        }
        assert!(peer.ip("link show eth0").unwrap().contains("mtu 1500"));
    }
    for vip in lab.vips(ports::HTTP) {
        let copy = folder.join("copy");
        let url = format!("http://{vip}/files/random");
        let line = ["curl", "-sS", "--fail", "--max-time", "600", "-o", &copy.to_string_lossy(), &url];
        lab.world.client.run(&line).unwrap();
        let difference =
            first_difference(&mut File::open(&original).unwrap(), &mut File::open(&copy).unwrap());
        assert_eq!(difference, None, "{vip}: the copy differs from this byte on");
        assert_eq!(std::fs::metadata(&copy).unwrap().len(), FILE_BYTES);
        std::fs::remove_file(&copy).unwrap();
    }
}
