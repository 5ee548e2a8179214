//! Questions to a running appliance are answered while it is idle, which is when its workers sleep, and while it is not.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use penstock_tests::{KeepAlive, Lab, LabOptions, Stalls, ports, require_root};

/// Tables of the default size are a thousand pages and more, each a question of its own to a worker.
#[test]
fn netns_all_flows_are_listed_in_time() {
    require_root!();
    for (label, workers) in [("ask", 1), ("ask2", 2)] {
        let lab = Lab::start(LabOptions { workers, ..LabOptions::new(label) }).unwrap();
        let connect = |to| lab.world.client.enter(|| KeepAlive::connect(to)).unwrap().unwrap();
        let mut connections: Vec<_> =
            lab.vips(ports::HTTP).into_iter().flat_map(|vip| [vip; 5]).map(connect).collect();
        let list = || {
            let shown = lab.appliance.show("flows").unwrap();
            let flows = shown["flows"].as_array().unwrap();
            let held = flows.iter().filter(|flow| flow["state"] == "ESTABLISHED").count();
            assert!(held >= 10, "{shown:#}");
        };
        let ((), idle) = Stalls::time(list);
        assert!(idle < Duration::from_secs(5), "{idle:?} while idle");
        // Several askers and a load at once.
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for connection in &mut connections {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        connection.ask().unwrap();
                    }
                });
            }
            let askers: Vec<_> = (0..4).map(|_| scope.spawn(|| Stalls::time(list).1)).collect();
            let times: Vec<_> = askers.into_iter().map(|asker| asker.join()).collect();
            over.store(true, Ordering::Relaxed);
            for time in times {
                let time = time.unwrap();
                assert!(time < Duration::from_secs(8), "{time:?} under load");
            }
        });
    }
}
