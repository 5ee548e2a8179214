//! What differs between two sorted maps, by one walk over both: a comparison an item, no look-ups.

use std::collections::BTreeMap;

/// The keys that only `old` has, and the items of `new` that `old` has not, or not the same.
pub(crate) fn differences<'n, K: Ord + Clone, A, B>(
    old: &BTreeMap<K, A>,
    new: impl Iterator<Item = (&'n K, &'n B)>,
    same: impl Fn(&A, &B) -> bool,
) -> (Vec<K>, Vec<(&'n K, &'n B)>) {
    let (mut gone, mut stale) = (Vec::new(), Vec::new());
    let mut old = old.iter().peekable();
    for (key, item) in new {
        while let Some((key, _)) = old.next_if(|(old, _)| *old < key) {
            gone.push(key.clone());
        }
        match old.next_if(|(old, _)| *old == key) {
            Some((_, known)) if same(known, item) => {}
            _ => stale.push((key, item)),
        }
    }
    gone.extend(old.map(|(key, _)| key.clone()));
    (gone, stale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gone_new_and_other_items_are_found() {
        let old = BTreeMap::from([(1, 'a'), (3, 'c'), (5, 'e'), (9, 'i')]);
        let new = BTreeMap::from([(2, 'b'), (3, 'c'), (5, 'x'), (7, 'g')]);
        let (gone, stale) = differences(&old, new.iter(), |a, b| a == b);
        assert_eq!(gone, [1, 9]);
        assert_eq!(stale, [(&2, &'b'), (&5, &'x'), (&7, &'g')]);
    }
}
