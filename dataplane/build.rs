//! Builds the programs that run in the kernel with clang into `OUT_DIR`.

mod clang;

fn main() {
    clang::build(
        &["src/xdp/classifier.bpf.c", "src/xdp/redirects.bpf.c"],
        &[
            "src/xdp/bpf.h",
            "src/xdp/wire.h",
            "src/xdp/maps.h",
            "src/xdp/packet.h",
            "src/xdp/lane.h",
            "src/xdp/lane.bpf.h",
        ],
        &[],
    );
}
