//! Properties of Maglev rings for any set of backends (NSDI 2016, §3.4).

use crate::{
    table::{Backend, BackendId, NextHopId, Ring, ring_size},
    wire::V4,
};
use proptest::{collection::hash_set, prelude::*};

fn backends() -> impl Strategy<Value = Vec<Backend<V4>>> {
    hash_set((any::<u32>(), any::<u16>()), 1..60).prop_map(|set| {
        let numbered = set.into_iter().enumerate();
        numbered
            .map(|(number, (addr, port))| Backend {
                id: BackendId(number as u32),
                addr: addr.into(),
                port,
                next_hop: NextHopId(0),
            })
            .collect()
    })
}

proptest! {
    #[test]
    fn rings_are_even_deterministic_and_hold_every_backend(backends in backends(), turn: u8, hash: u64) {
        let ring = Ring::build(backends.clone()).unwrap();
        prop_assert_eq!(ring.size(), ring_size(backends.len()) as usize);
        let mut shares = vec![0usize; backends.len()];
        ring.slots().for_each(|slot| shares[slot] += 1);
        prop_assert!(shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 1);
        let mut others = backends;
        let turn = usize::from(turn) % others.len();
        others.rotate_left(turn);
        prop_assert_eq!(&Ring::build(others).unwrap(), &ring);
        prop_assert_eq!(ring.pick(hash), ring.at(ring.slot(hash)));
        prop_assert!(ring.slot(hash) < ring.size());
    }

    /// A backend that goes takes its own slots with it; of the others' slots few move.
    #[test]
    fn removal_disturbs_little(backends in backends(), gone: u8) {
        prop_assume!(backends.len() > 1);
        let size = 16_381;
        let before = Ring::with_size(backends.clone(), size).unwrap();
        let gone = backends[usize::from(gone) % backends.len()];
        let left: Vec<_> = backends.into_iter().filter(|backend| backend.id != gone.id).collect();
        let after = Ring::with_size(left, size).unwrap();
        let moved = (0..size as usize)
            .filter(|slot| before.at(*slot).id != gone.id && before.at(*slot).id != after.at(*slot).id)
            .count();
        prop_assert!(moved < size as usize / 8, "{moved} slots of others moved");
    }
}
