//! Builds the kernel-side programs of the comparison with peers with clang into `OUT_DIR`.

#[path = "../dataplane/clang.rs"]
mod clang;

fn main() {
    let sources = ["peers/bpf/peers.bpf.c", "peers/bpf/tcp_rr.bpf.c"];
    let headers = ["../dataplane/src/xdp/bpf.h", "../dataplane/src/xdp/wire.h"];
    clang::build(&sources, &headers, &["../dataplane/src/xdp"]);
}
