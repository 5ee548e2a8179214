//! The items, and which of them are due.

use anyhow::{Context, Result, ensure};
use std::{collections::BTreeMap, ops::RangeInclusive};

/// What is due now: what a data path, its source of objects, and those who give and announce addresses must do. The
/// others (validation on writes, allocation of cluster IPs and ports, endpoint production, discovery) belong to
/// controllers that come later.
pub(crate) const DUE: [RangeInclusive<u16>; 5] = [46..=62, 73..=166, 175..=191, 192..=217, 224..=230];

/// Whether an item is due.
pub(crate) fn is_due(item: u16) -> bool {
    DUE.iter().any(|range| range.contains(&item))
}

/// `NUMBER text`, a line each; `[headings]` and `#` comments apart.
pub(crate) fn read(text: &str) -> Result<BTreeMap<u16, String>> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with(['#', '[']));
    lines
        .map(|line| {
            let (number, words) = line.split_once(' ').with_context(|| format!("items.txt: {line:?}"))?;
            Ok((number.parse().with_context(|| format!("items.txt: {line:?}"))?, words.to_owned()))
        })
        .collect()
}

/// `S-NUMBER: reason`, a line each. A line that begins with white space goes on with the reason before.
pub(crate) fn read_different(text: &str) -> Result<BTreeMap<u16, String>> {
    let mut all: BTreeMap<u16, String> = BTreeMap::new();
    let mut last = None;
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        let wrong = || format!("different.txt: {line:?}: must be `S-NUMBER: reason`");
        if let Some(reason) = last.filter(|_| line.starts_with(' ')).and_then(|item| all.get_mut(&item)) {
            reason.push(' ');
            reason.push_str(line.trim());
            continue;
        }
        let (item, reason) =
            line.strip_prefix("S-").and_then(|rest| rest.split_once(": ")).with_context(wrong)?;
        let item = item.parse().with_context(wrong)?;
        ensure!(is_due(item), "different.txt: S-{item} is not due");
        ensure!(
            all.insert(item, reason.trim().to_owned()).is_none(),
            "different.txt: S-{item} is there twice"
        );
        last = Some(item);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_there_once() {
        let items = read(include_str!("items.txt")).unwrap();
        assert_eq!(items.len(), 230);
        assert_eq!((items.keys().min(), items.keys().max()), (Some(&1), Some(&230)));
        assert_eq!(items.keys().filter(|item| is_due(**item)).count(), 17 + 94 + 17 + 26 + 7);
    }

    #[test]
    fn differences_have_reasons() {
        read_different(include_str!("different.txt")).unwrap();
        let all = read_different("# why\nS-119: because\n  of this\nS-196: so\n").unwrap();
        assert_eq!(all[&119], "because of this");
        assert_eq!(all[&196], "so");
        for wrong in ["S-119", "119: x", "S-1: not due", "S-119: a\nS-119: b"] {
            assert!(read_different(wrong).is_err(), "{wrong}");
        }
    }
}
