//! Builds the kernel-side classifier with clang into `OUT_DIR/classifier.bpf.o`.

mod clang;

fn main() {
    clang::build(
        &["src/xdp/classifier.bpf.c"],
        &["src/xdp/bpf.h", "src/xdp/maps.h", "src/xdp/packet.h", "src/xdp/lane.h", "src/xdp/lane.bpf.h"],
        &[],
    );
}
