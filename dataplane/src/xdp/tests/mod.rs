//! The classifier in the kernel, run on packets by `BPF_PROG_TEST_RUN`: nothing is attached and nothing is sent.
//! Such a run has the loopback interface (index 1), queue 0; no socket is bound, so ours shows as dropped.

mod compilers;
mod packets;
mod decisions;
mod icmp_errors;
mod fragments;
mod updates;
mod lane;

use std::net::IpAddr;

use aya::programs::{TestRun, TestRunOptions};

use super::{AddressFlags, Classifier, ClassifierCounters, ClassifierState, FamilyPort, InterfaceEntry};
use crate::io::PortId;
use crate::io::testing::root_or_skip;

const LOOPBACK: u32 = 1;
const PASS: u32 = 2;
const DROP: u32 = 1;

const TCP: u8 = 6;
const UDP: u8 = 17;
const SCTP: u8 = 132;

/// A loaded classifier with these addresses, on an interface with the backend role:
/// VIP .10, node .1, SNAT pool .2, backend .100; NodePorts TCP 30080, UDP 30053; SNAT ports 61000 to 65535.
struct Bench {
    classifier: Classifier,
}

impl Bench {
    fn new() -> Option<Bench> {
        Bench::with(&state())
    }

    fn with(state: &ClassifierState) -> Option<Bench> {
        if !root_or_skip() {
            return None;
        }
        let mut classifier = Classifier::load().unwrap();
        classifier.grow(state).unwrap();
        Some(Bench { classifier })
    }

    /// Runs the classifier on `packet`.
    fn run(&mut self, packet: &[u8]) -> u32 {
        let options = TestRunOptions { data_in: Some(packet), ..TestRunOptions::new() };
        self.classifier.program().test_run(options).unwrap().return_value
    }

    /// Whether `packet` is ours; one counter must move, the right one.
    #[track_caller]
    fn is_ours(&mut self, packet: &[u8]) -> bool {
        let before = self.counters();
        let action = self.run(packet);
        let after = self.counters();
        let moved = after.named().map(|(_, count)| count).sum::<u64>()
            - before.named().map(|(_, count)| count).sum::<u64>();
        assert_eq!(moved, 1, "every packet is counted once");
        match action {
            PASS => assert_eq!(after.passed() - before.passed(), 1),
            DROP => assert_eq!(after.drop_no_socket - before.drop_no_socket, 1),
            other => panic!("XDP action {other}"),
        }
        action == DROP
    }

    fn counters(&self) -> ClassifierCounters {
        self.classifier.counters().unwrap()
    }
}

fn state() -> ClassifierState {
    let mut state = ClassifierState { snat_ports: 61000..=65535, ..ClassifierState::default() };
    for (last, flags) in [
        (10, AddressFlags::VIP),
        (1, AddressFlags::NODE | AddressFlags::SNAT),
        (2, AddressFlags::SNAT),
        (100, AddressFlags::BACKEND),
    ] {
        for v6 in [false, true] {
            state.addresses.insert(address(v6, last), flags);
        }
    }
    for v6 in [false, true] {
        let port = |(protocol, port)| FamilyPort { v6, protocol, port };
        state.node_ports.extend([(TCP, 30080), (UDP, 30053), (SCTP, 30099)].map(port));
        state.backend_ports.extend([(TCP, 8080), (UDP, 8053)].map(port));
    }
    state.interfaces.insert(LOOPBACK, InterfaceEntry { port: PortId(3), backend: true });
    state
}

fn address(v6: bool, last: u8) -> IpAddr {
    match v6 {
        false => IpAddr::from([192, 0, 2, last]),
        true => IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(last)]),
    }
}
