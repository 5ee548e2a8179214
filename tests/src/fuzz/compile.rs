//! Any bytes as a file of manifests, all the way to tables; and again, as the next content of the same file.
//!
//! Beside that nothing panics: compiling anew what did not change changes nothing, and each VIP of the tables leads to a
//! Service that is there, whose backends have a way.

use super::gateway::environment;
use penstock::{compile::Compiler, manifests::read_bytes, model::Model};
use penstock_dataplane::{
    table::{Endpoints, Tables},
    wire::Family,
};
use std::collections::BTreeSet;

/// Between one content of the file and the next.
const NEXT: &[u8] = b"\n%%%\n";
/// What is enough to find out about changes.
const MOST_CONTENTS: usize = 4;

/// The contents of the file, one after the other.
pub fn compile(data: &[u8]) {
    let (mut model, mut compiler) = (Model::default(), Compiler::new());
    let mut rest = data;
    for generation in 1..=MOST_CONTENTS as u64 {
        let end = rest.windows(NEXT.len()).position(|window| window == NEXT);
        let objects = read_bytes("fuzz.yaml", rest[..end.unwrap_or(rest.len())].to_vec());
        for problem in objects.problems.iter().chain(&model.update(&objects)) {
            let _ = problem.to_string();
        }
        compiler.compile(&model, &environment(BTreeSet::new(), 1500, None, true));
        let known = environment(compiler.targets(), 1500, None, true);
        let compiled = compiler.compile(&model, &known);
        check(&compiled.snapshot.v4);
        check(&compiled.snapshot.v6);
        for port in compiler.ports() {
            let _ = (port.service, port.candidates.len());
        }
        let again = compiler.compile(&model, &known);
        assert!(again.changes.is_empty(), "a change where there was none: {}", again.changes);
        compiler.published(generation);
        compiler.release(generation);
        let Some(end) = end else { break };
        rest = &rest[end + NEXT.len()..];
    }
}

fn check<F: Family>(tables: &Tables<F>) {
    for service in tables.services.iter().flatten() {
        for endpoints in [&service.cluster, &service.local] {
            let Endpoints::Ring(ring) = endpoints else { continue };
            assert!(!ring.backends().is_empty(), "a ring of none: {:?}", service.name);
            for backend in ring.backends() {
                let way = tables.next_hops.get(backend.next_hop.0 as usize);
                assert!(way.is_some_and(|way| way.link.is_some()), "no way to {}", backend.addr);
            }
        }
    }
}
