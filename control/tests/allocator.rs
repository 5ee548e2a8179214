//! Small pieces come to lie in memory that huge pages are asked for.

use penstock::allocator::Jemalloc;
use std::{fs, path::Path};

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

#[test]
fn small_pieces_are_in_memory_for_huge_pages() {
    if !Path::new("/sys/kernel/mm/transparent_hugepage").exists() {
        return; // A kernel without them has no flag for them.
    }
    let pieces: Vec<Box<[u8; 100]>> = (0..100_000).map(|_| Box::new([1; 100])).collect();
    let advised: usize = mappings()
        .iter()
        .map(|mapping| {
            let holds = |piece: &&Box<[u8; 100]>| mapping.addresses.contains(&(piece.as_ptr() as usize));
            if mapping.wants_huge_pages { pieces.iter().filter(holds).count() } else { 0 }
        })
        .sum();
    assert_eq!(advised, pieces.len());
}

struct Mapping {
    addresses: std::ops::Range<usize>,
    wants_huge_pages: bool,
}

/// This process's memory (`proc_pid_smaps(5)`).
fn mappings() -> Vec<Mapping> {
    let text = fs::read_to_string("/proc/self/smaps").expect("procfs");
    let mut mappings: Vec<Mapping> = Vec::new();
    for line in text.lines() {
        let range = line.split(' ').next().and_then(|range| range.split_once('-'));
        if let Some((Ok(start), Ok(end))) = range.map(|(start, end)| (address(start), address(end))) {
            mappings.push(Mapping { addresses: start..end, wants_huge_pages: false });
        } else if let (Some(flags), Some(last)) = (line.strip_prefix("VmFlags:"), mappings.last_mut()) {
            last.wants_huge_pages = flags.split(' ').any(|flag| flag == "hg");
        }
    }
    mappings
}

fn address(text: &str) -> Result<usize, std::num::ParseIntError> {
    usize::from_str_radix(text, 16)
}
