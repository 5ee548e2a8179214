//! The kernel-side programs of the comparison (`bpf/peers.bpf.c`): the bare redirect, and what answers flows.

use anyhow::{Context, Result};
use aya::{
    Ebpf,
    maps::{Array, DevMap},
    programs::{Xdp, xdp::XdpMode},
};
use nix::net::if_::if_nametoindex;
use penstock::netns::Namespace;

use crate::bed::Bed;

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/peers.bpf.o"));

/// A program on an interface; it goes with the value.
pub(crate) struct Attached(#[expect(dead_code, reason = "kept for its end")] Ebpf);

/// Redirects what comes to the gateway of a bed on to its sink.
pub(crate) fn redirect(bed: &Bed) -> Result<Attached> {
    bed.gateway.enter(|| {
        let mut object = Ebpf::load(OBJECT).context("cannot load the bare redirect")?;
        let mut ways: Array<_, [u8; 12]> = object.map_mut("ways").context("no map ways")?.try_into()?;
        let (destination, source) = (bed.mac(4), bed.mac(3));
        let mut macs = [0; 12];
        macs[..6].copy_from_slice(&destination);
        macs[6..].copy_from_slice(&source);
        ways.set(0, macs, 0)?;
        let mut ports: DevMap<_> = object.map_mut("ports").context("no map ports")?.try_into()?;
        ports.set(0, if_nametoindex(bed.name('b').as_str())?, None, 0)?;
        attach(object, "forward", &bed.name('c'))
    })?
}

/// Lets the sink of a bed answer every UDP packet.
pub(crate) fn reflect(sink: &Namespace, interface: &str) -> Result<Attached> {
    sink.enter(|| {
        attach(Ebpf::load(OBJECT).context("cannot load what answers flows")?, "reflect", interface)
    })?
}

/// Attaches a program of an object to an interface of this thread's namespace.
pub(crate) fn attach(mut object: Ebpf, name: &str, interface: &str) -> Result<Attached> {
    let program: &mut Xdp = object.program_mut(name).context("no such program")?.try_into()?;
    program.load()?;
    program.attach_to_if_index(if_nametoindex(interface)?, XdpMode::Driver)?;
    Ok(Attached(object))
}
