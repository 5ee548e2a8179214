//! What fuzzing throws at the code, and what must hold then.
//!
//! A target is a function of bytes that panics if something is wrong. `make fuzz` drives them by libFuzzer with coverage
//! (`tests/fuzz` has the programs); `cargo test` runs them over what is committed below `tests/fuzz/corpus` and
//! `tests/fuzz/crashes`. Each reads its input by `Input`, which never ends: behind the last byte come zeros.

mod input;
mod parse;
mod process;
mod gateway;
mod shots;
mod flows;
mod compile;

pub use compile::compile;
pub use flows::flows;
pub use gateway::tables;
pub use parse::parse;
pub use process::process;

/// What runs on arbitrary bytes.
pub type Target = fn(&[u8]);

/// The targets by name.
pub const TARGETS: [(&str, Target); 4] =
    [("parse", parse), ("process", process), ("flows", flows), ("compile", compile)];
