//! The program that takes a run's frames (src/bpf/catch.bpf.c): loading it, attaching it, reading its counts.

use std::os::fd::{AsRawFd, BorrowedFd};

use anyhow::{Context, Result};
use aya::{
    Ebpf,
    maps::{Array, MapData, PerCpuArray, XskMap},
    programs::{ProgramError, Xdp, xdp::XdpMode},
};

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/catch.bpf.o"));

/// `struct config` of catch.bpf.c.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct Config {
    run: u16,
    reserved: u16,
    sample: u32,
}

/// `struct counts` of catch.bpf.c.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub(super) struct Counts {
    pub(super) packets: u64,
    pub(super) bytes: u64,
    pub(super) last_ns: u64,
}

#[expect(unsafe_code, reason = "plain numbers without padding, as the program has them")]
mod pod {
    // SAFETY: both are repr(C), of numbers alone, without padding, and any bits are a value.
    unsafe impl aya::Pod for super::Config {}
    // SAFETY: as above.
    unsafe impl aya::Pod for super::Counts {}
}

/// The program, attached. It is detached with the value, or with the process.
pub(super) struct Catch {
    counts: PerCpuArray<MapData, Counts>,
    sockets: XskMap<MapData>,
    _object: Ebpf,
}

impl Catch {
    /// Attaches it, in the driver or else in the stack. `None` if there is a program already, or XDP cannot be.
    pub(super) fn attach(interface: &str, index: u32, run: u16, sample: u32) -> Result<Option<Catch>> {
        let mut object = Ebpf::load(OBJECT)
            .context("cannot make the receiver's maps (it needs root, or CAP_BPF and CAP_NET_ADMIN)")?;
        let mut config: Array<&mut MapData, Config> =
            object.map_mut("config").context("the receiver has no map config")?.try_into()?;
        config.set(0, Config { run, reserved: 0, sample }, 0).context("cannot write to the receiver")?;
        let counts = object.take_map("counts").context("the receiver has no map counts")?.try_into()?;
        let sockets = object.take_map("xsks").context("the receiver has no map xsks")?.try_into()?;
        let program: &mut Xdp =
            object.program_mut("catch").context("the object has no program catch")?.try_into()?;
        program.load().context("the kernel does not take the receiver")?;
        let attached = program
            .attach_to_if_index(index, XdpMode::Driver)
            .or_else(|_: ProgramError| program.attach_to_if_index(index, XdpMode::Skb));
        if let Err(error) = attached {
            tracing::warn!(interface, %error, "no XDP program can be attached: receiving through a packet socket");
            return Ok(None);
        }
        Ok(Some(Catch { counts, sockets, _object: object }))
    }

    /// Gives it the socket of a queue.
    pub(super) fn bind(&mut self, queue: u32, socket: BorrowedFd<'_>) -> Result<()> {
        self.sockets
            .set(queue, socket.as_raw_fd(), 0)
            .with_context(|| format!("cannot use the socket of queue {queue}"))
    }

    /// What it counted.
    pub(super) fn counts(&self) -> Result<Counts> {
        let all = self.counts.get(&0, 0).context("cannot read from the receiver")?;
        Ok(all.iter().fold(Counts::default(), |sum, one| Counts {
            packets: sum.packets + one.packets,
            bytes: sum.bytes + one.bytes,
            last_ns: sum.last_ns.max(one.last_ns),
        }))
    }
}
