//! A fixed amount of new flows, for profilers: `new SERVICES FLOWS ROUNDS BACKENDS [4|6]`, of 2048 SYNs each, to Services
//! drawn at random, in a table that has so many flows and room for as many more. It is the same work on every run.

#![expect(clippy::print_stdout, reason = "a program that prints its result")]

use penstock::allocator::Jemalloc;
use penstock_benches::{
    family::Numbered,
    measure::fixed,
    scene::{Mix, Scene, Shape},
};
use penstock_dataplane::wire::{V4, V6};

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse().expect("a number"));
    let mut next = |default| arguments.next().unwrap_or(default);
    let (services, flows, rounds, backends) = (next(1), next(1000), next(1000), next(10));
    let shape = Shape { services: services as u32, backends: backends as u32 };
    let told = match next(4) {
        6 => run::<V6>(shape, flows, rounds),
        _ => run::<V4>(shape, flows, rounds),
    };
    println!("ns a flow: {told}");
}

fn run<F: Numbered>(shape: Shape, flows: usize, rounds: usize) -> String {
    let mut scene = Scene::<F>::with(shape, flows, flows + 100_000, Mix::New);
    fixed(&mut scene, rounds, |scene| {
        scene.forget_new();
        scene.refill();
    })
}
