//! Small pieces come to lie in memory that huge pages are asked for.

use penstock::allocator::Jemalloc;
use std::{fs, ops::Range, path::Path};

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

#[test]
fn small_pieces_are_in_memory_for_huge_pages() {
    if !Path::new("/sys/kernel/mm/transparent_hugepage").exists() {
        return; // A kernel without them has no flag for them.
    }
    let pieces: Vec<Box<[u8; 100]>> = (0..100_000).map(|_| Box::new([1; 100])).collect();
    let mappings = huge_page_mappings();
    let advised = pieces.iter().filter(|piece| {
        let address = piece.as_ptr() as usize;
        mappings.iter().any(|mapping| mapping.contains(&address))
    });
    assert_eq!(advised.count(), pieces.len());
}

/// Where this process's memory has been advised to be of huge pages (`proc_pid_smaps(5)`).
fn huge_page_mappings() -> Vec<Range<usize>> {
    let text = fs::read_to_string("/proc/self/smaps").expect("procfs");
    let address = |text| usize::from_str_radix(text, 16).ok();
    let (mut mappings, mut last) = (Vec::new(), 0..0);
    for line in text.lines() {
        let range = line.split(' ').next().and_then(|range| range.split_once('-'));
        if let Some((Some(start), Some(end))) = range.map(|(start, end)| (address(start), address(end))) {
            last = start..end;
        } else if let Some(flags) = line.strip_prefix("VmFlags:")
            && flags.split(' ').any(|flag| flag == "hg")
        {
            mappings.push(last.clone());
        }
    }
    mappings
}
