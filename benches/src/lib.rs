//! What the benchmarks have in common: a gateway with many flows, packets for them, and a way to measure.
//!
//! `benches/path.rs` and `benches/tables.rs` are criterion benchmarks, for comparing two states of the code.
//! `benches/report.rs` measures the same things once more, quickly and by medians, and writes `target/bench/report.json`;
//! it fails if a packet costs an allocation. `src/bin/instructions.rs` counts instructions, which no neighbour on the
//! machine can disturb. `control/cluster.rs` is for what measures the
//! control plane, and none of this library, which is built without it. Names in the report do not change: figures are
//! followed over time by them.

pub mod alloc;
pub mod family;
pub mod machine;
pub mod measure;
pub mod packets;
pub mod report;
pub mod scene;
