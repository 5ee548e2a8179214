//! Builds the kernel-side programs of the comparison with peers with clang into `OUT_DIR`.

#[path = "../dataplane/clang.rs"]
mod clang;

fn main() {
    clang::build(&["peers/bpf/peers.bpf.c"], &["../dataplane/src/xdp/bpf.h"], &["../dataplane/src/xdp"]);
}
