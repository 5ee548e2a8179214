//! A fixed amount of new flows, for profilers: `new SERVICES FLOWS ROUNDS [BACKENDS]`, of 2048 IPv4 SYNs each, to Services
//! drawn at random, in a table that has so many flows and room for as many more. It is the same work on every run.

#![expect(clippy::print_stdout, reason = "a program that prints its result")]

use penstock_benches::{
    measure::fixed,
    scene::{Mix, Scene, Shape},
};
use penstock_dataplane::wire::V4;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse().expect("a number"));
    let mut next = |default| arguments.next().unwrap_or(default);
    let (services, flows, rounds, backends) = (next(1), next(1000), next(1000), next(10));
    let shape = Shape { services: services as u32, backends: backends as u32 };
    let mut scene = Scene::<V4>::with(shape, flows, flows + 100_000, Mix::New);
    let told = fixed(&mut scene, rounds, |scene| {
        scene.forget_new();
        scene.refill();
    });
    println!("ns a flow: {told}");
}
