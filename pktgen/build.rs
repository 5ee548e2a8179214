//! Builds the kernel-side generator and receiver with clang into `OUT_DIR`.

#[path = "../dataplane/clang.rs"]
mod clang;

fn main() {
    clang::build(
        &["src/bpf/generate.bpf.c", "src/bpf/catch.bpf.c"],
        &["src/bpf/frame.h", "../dataplane/src/xdp/bpf.h", "../dataplane/src/xdp/wire.h"],
        // The few helpers that the classifier needs too.
        &["../dataplane/src/xdp"],
    );
}
