//! `penstock`.
fn main() {}
