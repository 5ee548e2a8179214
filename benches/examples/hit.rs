//! A fixed amount of forwarding, for profilers: `hit FLOWS ROUNDS`, of 2048 IPv4 packets each. It is the same work on
//! every run, so instruction counts can be compared (`valgrind --tool=callgrind`).

#![expect(clippy::print_stdout, reason = "a program that prints its result")]

use penstock_benches::{
    measure::fixed,
    scene::{Mix, Scene},
};
use penstock_dataplane::wire::V4;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse().expect("FLOWS ROUNDS"));
    let (flows, rounds) = (arguments.next().unwrap_or(1000), arguments.next().unwrap_or(1000));
    let mut scene = Scene::<V4>::new(flows, flows, Mix::Established);
    println!("ns a packet: {}", fixed(&mut scene, rounds, Scene::refill));
}
