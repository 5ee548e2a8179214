//! Established connections do not notice that the set of backends changes.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    time::{Duration, Instant},
};

use penstock_tests::{KeepAlive, Lab, LabOptions, PATIENCE, ports, raise_file_limit, require_root};

const CONNECTIONS: usize = 200;
/// At least; on a busy machine as long as it takes to make the changes, and to use every connection.
const RUN: Duration = Duration::from_secs(10);
const CHANGES: usize = 50;
const ANSWERS_EACH: u32 = 20;
const BETWEEN_CHANGES: Duration = Duration::from_millis(100);

/// Each backend leaves and comes back while two or three others stay.
const SETS: [&[u8]; 6] = [&[1, 2, 3], &[2, 3, 4], &[1, 3, 4], &[1, 2, 4], &[1, 2], &[1, 2, 3, 4]];

/// A removed backend's established connections go on as well, for as long as its server does: what kube-proxy does.
#[test]
fn netns_200_connections_outlive_changes_every_100_ms() {
    require_root!();
    raise_file_limit().unwrap();
    let mut lab = Lab::start(LabOptions { backends: 4, ..LabOptions::new("keep") }).unwrap();
    let vips = lab.vips(ports::HTTP);
    let over = AtomicBool::new(false);
    let answers: Vec<_> = (0..CONNECTIONS).map(|_| AtomicU32::new(0)).collect();
    let one_connection = |index: usize| {
        let mut connection =
            KeepAlive::connect(vips[index % vips.len()]).map_err(|error| error.to_string())?;
        let (mut backend, answers) = (String::new(), &answers[index]);
        while !over.load(Ordering::Acquire) {
            let body = connection.ask().map_err(|error| {
                format!("connection {index} to {backend} broke after {answers:?} answers: {error}")
            })?;
            if answers.fetch_add(1, Ordering::AcqRel) > 0 && body != backend {
                return Err(format!("connection {index} moved from {backend} to {body}"));
            }
            backend = body;
            std::thread::sleep(Duration::from_millis(40));
        }
        Ok(backend)
    };
    let (ended, changes) = std::thread::scope(|scope| {
        let clients = scope.spawn(|| {
            lab.world.client.enter(|| {
                std::thread::scope(|scope| {
                    let threads: Vec<_> =
                        (0..CONNECTIONS).map(|index| scope.spawn(move || one_connection(index))).collect();
                    threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
                })
            })
        });
        // Connections are made while all backends are there: each of them has some to keep.
        let deadline = Instant::now() + PATIENCE;
        let fewest = || answers.iter().map(|count| count.load(Ordering::Acquire)).min().unwrap_or(0);
        while fewest() == 0 && !clients.is_finished() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        let started = Instant::now();
        let mut changes = 0;
        let is_enough = |changes| changes >= CHANGES && fewest() > ANSWERS_EACH;
        while started.elapsed() < RUN || (!is_enough(changes) && started.elapsed() < 2 * PATIENCE) {
            lab.set_endpoints(SETS[changes % SETS.len()]).unwrap();
            changes += 1;
            std::thread::sleep(BETWEEN_CHANGES);
        }
        over.store(true, Ordering::Release);
        (clients.join().unwrap().unwrap(), changes)
    });
    let broken: Vec<_> = ended.iter().filter_map(|end| end.as_ref().err()).collect();
    assert!(
        broken.is_empty(),
        "{} of {CONNECTIONS} connections: {:#?}",
        broken.len(),
        &broken[..broken.len().min(5)]
    );
    let ended: Vec<_> = ended.into_iter().flatten().collect();
    let backends: BTreeSet<_> = ended.iter().map(String::as_str).collect();
    assert_eq!(backends.len(), 4, "every backend had connections: {backends:?}");
    let answers: Vec<_> = answers.into_iter().map(AtomicU32::into_inner).collect();
    assert!(
        answers.iter().all(|answers| *answers > ANSWERS_EACH),
        "a connection was hardly used: {answers:?}"
    );
    assert!(changes >= CHANGES, "only {changes} changes");
    // The last set is what new connections get: the changes were real.
    lab.set_endpoints(&[3]).unwrap();
    lab.wait_for_endpoints(&[3]).unwrap();
}
