//! A fixed amount of forwarding, for profilers: `hit FLOWS ROUNDS [4|6]`, of 2048 packets each. It is the same work on
//! every run, so instruction counts can be compared (`valgrind --tool=callgrind`).

#![expect(clippy::print_stdout, reason = "a program that prints its result")]

use penstock::allocator::Jemalloc;
use penstock_benches::{
    family::Numbered,
    measure::fixed,
    scene::{Mix, Scene},
};
use penstock_dataplane::wire::{V4, V6};

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse().expect("a number"));
    let mut next = |default| arguments.next().unwrap_or(default);
    let (flows, rounds) = (next(1000), next(1000));
    let told = match next(4) {
        6 => run::<V6>(flows, rounds),
        _ => run::<V4>(flows, rounds),
    };
    println!("ns a packet: {told}");
}

fn run<F: Numbered>(flows: usize, rounds: usize) -> String {
    let mut scene = Scene::<F>::new(flows, flows, Mix::Established);
    fixed(&mut scene, rounds, Scene::refill)
}
