//! The program's allocator: jemalloc, asking for huge pages.
//!
//! Tables are made of small pieces: the row of a Service, the slots of its ring, its backends. A new flow reads one of each,
//! and those of many Services are on more ordinary pages than a processor remembers the places of. jemalloc keeps pieces of
//! one size together, and asks for huge pages by `madvise`; where there are none, they are ordinary ones, and nothing else
//! differs. They cost a gateway some 10 MB. The C library asks for them too, but only if the environment says so, which a
//! program with file capabilities does not get to know.
//!
//! For binaries, which choose it by `#[global_allocator]`: a library leaves that to them.
#![expect(unsafe_code, reason = "a symbol that jemalloc looks for")]

pub use tikv_jemallocator::Jemalloc;

/// What jemalloc is told before it begins (`jemalloc(3)`, "TUNING"). Few arenas, since each has huge pages of its own, and
/// the threads that allocate are those of the control plane.
#[unsafe(export_name = "_rjem_malloc_conf")]
static OPTIONS: &[u8; 21] = b"thp:always,narenas:4\0";
