//! A fixed amount of forwarding, for profilers: `hit FLOWS ROUNDS`, of 2048 IPv4 packets each. It is the same work on
//! every run, so instruction counts can be compared (`valgrind --tool=callgrind`).

#![expect(clippy::print_stdout, reason = "a program that prints its result")]

use penstock_benches::{
    measure::timed,
    scene::{Mix, RING, Scene},
};
use penstock_dataplane::wire::V4;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse().expect("FLOWS ROUNDS"));
    let (flows, rounds) = (arguments.next().unwrap_or(1000), arguments.next().unwrap_or(1000));
    let mut scene = Scene::<V4>::new(flows, flows, Mix::Established);
    let mut taken: Vec<f64> = Vec::new();
    for _ in 0..rounds {
        scene.refill();
        taken.push(timed(|| scene.process()).0.as_nanos() as f64 / RING as f64);
    }
    scene.check();
    taken.sort_by(f64::total_cmp);
    let at = |share: usize| taken[(taken.len() - 1) * share / 100];
    println!("ns a packet: {:.1} best, {:.1} at 10 %, {:.1} median", at(0), at(10), at(50));
}
