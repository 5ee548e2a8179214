//! Any bytes as a file of manifests, all the way to tables; and again, as the next content of the same file.
//!
//! Beside that nothing panics: compiling anew what did not change changes nothing; each VIP of the tables leads to a
//! Service that is there, whose backends have a way; and where the file is without errors, its tables are those of a
//! compiler that has seen no other content, but for the numbers. (An object with an error keeps its last good version.)

use super::gateway::environment;
use penstock::{
    compile::{Compiled, Compiler},
    fault::Severity,
    manifests::read_bytes,
    model::Model,
    objects::Objects,
};
use penstock_dataplane::{
    table::{Endpoints, Service, Snapshot, Tables},
    wire::Family,
};
use std::collections::BTreeMap;

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
        let problems = model.update(&objects);
        let mut problems = objects.problems.iter().chain(&problems);
        let is_right =
            problems.all(|problem| problem.severity != Severity::Error && !problem.to_string().is_empty());
        let compiled = known(&mut compiler, &model);
        check(&compiled.snapshot.v4);
        check(&compiled.snapshot.v6);
        if is_right && generation > 1 {
            assert_eq!(plain(&compiled.snapshot), plain(&anew(&objects)), "another way, other tables");
        }
        for port in compiler.ports() {
            let _ = (port.service, port.candidates.len());
        }
        let again = compiler.compile(&model, &environment(compiler.targets(), 1500, None, true));
        assert!(again.changes.is_empty(), "a change where there was none: {}", again.changes);
        compiler.published(generation);
        compiler.release(generation);
        let Some(end) = end else { break };
        rest = &rest[end + NEXT.len()..];
    }
}

/// Compiles, and again once there are ways to the backends.
fn known(compiler: &mut Compiler, model: &Model) -> Compiled {
    compiler.compile(model, &environment([], 1500, None, true));
    compiler.compile(model, &environment(compiler.targets(), 1500, None, true))
}

/// The tables of these objects alone.
fn anew(objects: &Objects) -> Snapshot {
    let mut model = Model::default();
    model.update(objects);
    known(&mut Compiler::new(), &model).snapshot
}

/// Tables without numbers.
fn plain(snapshot: &Snapshot) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    add_plain(&snapshot.v4, &mut all);
    add_plain(&snapshot.v6, &mut all);
    all
}

fn add_plain<F: Family>(tables: &Tables<F>, all: &mut BTreeMap<String, String>) {
    let name = |id| tables.service(id).map(|service| service.name.to_string());
    for (tuple, target) in tables.vips.tuples.iter() {
        all.insert(format!("{tuple:?}"), format!("{:?} {:?}", target.kind, name(target.service)));
    }
    for (port, service) in &tables.vips.node_ports {
        all.insert(format!("{} {port:?}", F::NAME), format!("{:?}", name(*service)));
    }
    for (vip, kind) in &tables.vips.addresses {
        all.insert(vip.to_string(), format!("{kind:?}"));
    }
    for service in tables.services.iter().flatten() {
        let Service {
            name, cluster, local, internal_policy, external_policy, affinity, source_ranges, ..
        } = service;
        let lists = [cluster, local].map(|endpoints| match endpoints {
            Endpoints::Ring(ring) => {
                let backends = ring.backends().iter().map(|backend| (backend.addr, backend.port));
                format!("{:?} {:?}", backends.collect::<Vec<_>>(), ring.slots().collect::<Vec<_>>())
            }
            none => format!("{none:?}"),
        });
        let rest = (internal_policy, external_policy, affinity, source_ranges, &service.serving);
        all.insert(format!("{} {name}", F::NAME), format!("{lists:?} {rest:?}"));
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
