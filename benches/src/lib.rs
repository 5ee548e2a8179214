//! What the benchmarks have in common: a gateway with many flows, packets for them, and a way to measure.
//!
//! `benches/path.rs` and `benches/tables.rs` are criterion benchmarks, for comparing two states of the code.
//! `benches/report.rs` measures the same things once more, quickly and by medians, and writes `target/bench/report.json`;
//! it fails if a packet costs an allocation. Names in the report do not change: figures are followed over time by them.

pub mod alloc;
pub mod cluster;
pub mod family;
pub mod machine;
pub mod measure;
pub mod packets;
pub mod report;
pub mod scene;
