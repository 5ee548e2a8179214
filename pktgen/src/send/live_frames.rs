//! Sending by a program in the kernel: `BPF_PROG_TEST_RUN` on live frames (Linux 5.18).
//!
//! One long system call, made by a thread of its own, runs src/bpf/generate.bpf.c once for each frame of a recycled pool;
//! the program keeps pace and bound. A call takes 25 ms to set up, so there is one, and a signal ends it: this process
//! has nothing else to do for SIGUSR2.
//!
//! A pace that is missed by more than a queue is not made up for: what is then overdue is left out ([`Outcome::kept_pace`]).
//!
//! [`Outcome::kept_pace`]: crate::trial::Outcome::kept_pace
//!
//! Limits: the driver must take redirected frames (`ndo_xdp_xmit`). A veth does if its other end has an XDP program, or
//! has NAPI on (`ethtool -K IF gro on`). Where it does not, frames are refused and nothing arrives.

use std::{io, sync::mpsc::channel, thread, time::Duration};

use anyhow::{Context, Result, bail};
use aya::{
    Ebpf, EbpfLoader, Pod,
    maps::{Array, MapData},
    programs::{ProgramError, TestRun, TestRunAttrs, TestRunOptions, Xdp},
};
use nix::sys::{
    pthread::{pthread_kill, pthread_self},
    signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction},
};
use penstock_dataplane::wire::EtherAddr;

use super::{Job, Pace, SendReport};
use crate::{
    build::{FlowFrame, HEADER_BYTES, flows},
    clock::now_ns,
    spec::{FCS_BYTES, MAX_SIZES, Order, Spec},
};

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/generate.bpf.o"));

/// Frames of one turn of the kernel's loop, the most it takes. They leave together.
const BATCH: u32 = 64;
/// How often the program's progress is looked at.
const LOOK: Duration = Duration::from_millis(5);
/// The signal that ends the call.
const KICK: Signal = Signal::SIGUSR2;

/// `struct config` of generate.bpf.c.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct Config {
    start_ns: u64,
    end_ns: u64,
    packets: u64,
    rate: u64,
    ramp_us: u64,
    flows: u32,
    sizes: u32,
    ifindex: u32,
    random: u32,
    size: [u16; MAX_SIZES],
}

/// `struct progress` of generate.bpf.c.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
struct Sent {
    sent: u64,
    bytes: u64,
    turns: u64,
    last_ns: u64,
    left_out: u64,
    next_flow: u32,
    next_size: u32,
}

#[expect(unsafe_code, reason = "plain numbers without padding, as the program has them")]
mod pod {
    // SAFETY: all three are repr(C), of numbers alone, without padding, and any bits are a value.
    unsafe impl aya::Pod for super::Config {}
    // SAFETY: as above.
    unsafe impl aya::Pod for super::Sent {}
    // SAFETY: as above.
    unsafe impl aya::Pod for crate::build::FlowFrame {}
}

/// A loaded program with its flows.
pub struct LiveFrames {
    object: Ebpf,
    config: Config,
    longest: u16,
}

impl LiveFrames {
    /// Loads the program, and its flows into the kernel.
    pub(super) fn load(spec: &Spec, mac: EtherAddr, run: u16, ifindex: u32) -> Result<LiveFrames> {
        let flows = flows(spec, mac, run)?;
        let count = u32::try_from(flows.len())?;
        let mut object = EbpfLoader::new()
            .map_max_entries("flows", count)
            .load(OBJECT)
            .context("cannot make the generator's maps (it needs root, or CAP_BPF and CAP_NET_ADMIN)")?;
        let mut map: Array<&mut MapData, FlowFrame> = map(&mut object, "flows")?;
        for (index, flow) in (0..).zip(&flows) {
            map.set(index, flow, 0).context("cannot write the generator's flows")?;
        }
        program(&mut object)?.load().context("the kernel does not take the generator")?;
        let pace = Pace::of(spec);
        let mut config = Config {
            start_ns: 0,
            end_ns: 0,
            packets: spec.bound.packets,
            rate: pace.rate,
            ramp_us: pace.ramp_us,
            flows: count,
            sizes: u32::try_from(spec.sizes.0.len())?,
            ifindex,
            random: u32::from(spec.order == Order::Random),
            size: [0; MAX_SIZES],
        };
        for (to, from) in config.size.iter_mut().zip(&spec.sizes.0) {
            *to = from - FCS_BYTES;
        }
        Ok(LiveFrames { object, config, longest: spec.sizes.most() })
    }

    pub(super) fn send(mut self, job: Job<'_>) -> Result<SendReport> {
        let end_ns = job.start_ns + u64::try_from(job.spec.bound.duration.as_nanos())?;
        (self.config.start_ns, self.config.end_ns) = (job.start_ns, end_ns);
        map(&mut self.object, "config")?.set(0, self.config, 0).context("cannot write to the generator")?;
        ignore_kicks()?;
        let progress: Array<MapData, Sent> =
            self.object.take_map("progress").context("the generator has no map progress")?.try_into()?;
        // As long as the longest frame; the program shortens it, and writes this much whatever the size.
        let page = vec![0; usize::from(self.longest).max(HEADER_BYTES)];
        let program: &Xdp = program(&mut self.object)?;
        let mut sent = Sent::default();
        let elapsed_ns = thread::scope(|scope| {
            let (tell, told) = channel();
            let runner = scope.spawn(move || {
                let _ = tell.send(pthread_self());
                call(program, &page)
            });
            let thread = told.recv().context("the thread of the generator did not start")?;
            while !runner.is_finished() {
                thread::sleep(LOOK);
                let is_over = match progress.get(&0, 0) {
                    Ok(now) => {
                        sent = now;
                        job.progress.set(sent.sent, sent.bytes);
                        job.is_over(now_ns(), sent.sent)
                    }
                    Err(_) => true,
                };
                if is_over {
                    // More than once: a signal that comes before the call ends nothing.
                    let _ = pthread_kill(thread, KICK);
                }
            }
            let elapsed_ns = now_ns().saturating_sub(job.start_ns);
            match runner.join() {
                Ok(result) => result.map(|()| elapsed_ns),
                Err(_) => bail!("the thread of the generator panicked"),
            }
        })?;
        sent = progress.get(&0, 0).unwrap_or(sent);
        let seconds = sent.last_ns.saturating_sub(job.start_ns) as f64 / 1e9;
        let mut report =
            SendReport { packets: sent.sent, bytes: sent.bytes, seconds, ..SendReport::default() };
        // A frame leaves at the end of its turn of the loop.
        report.lateness.enter(elapsed_ns / (sent.turns / u64::from(BATCH)).max(1));
        Ok(report)
    }
}

/// Runs the program until a signal comes. The kernel counts to 2^32 at most, which takes minutes: then again.
fn call(program: &Xdp, page: &[u8]) -> Result<()> {
    loop {
        let mut options = TestRunOptions::new();
        options.data_in = Some(page);
        options.repeat = u32::MAX;
        options.attrs = TestRunAttrs::new().xdp_live_frames(BATCH);
        match program.test_run(options) {
            Ok(_) => {}
            Err(ProgramError::SyscallError(error)) if error.io_error.kind() == io::ErrorKind::Interrupted => {
                return Ok(());
            }
            Err(error) => {
                return Err(error).context("the kernel does not run the generator (live frames: Linux 5.18)");
            }
        }
    }
}

/// The signal only ends the call: not being ignored, and without SA_RESTART, it does.
#[expect(unsafe_code, reason = "a signal handler is installed")]
fn ignore_kicks() -> Result<()> {
    extern "C" fn on_kick(_: libc::c_int) {}
    let action = SigAction::new(SigHandler::Handler(on_kick), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler does nothing.
    unsafe { sigaction(KICK, &action) }.context("cannot install a signal handler")?;
    Ok(())
}

fn program(object: &mut Ebpf) -> Result<&mut Xdp> {
    let program = object.program_mut("generate").context("the object has no program generate")?;
    Ok(program.try_into()?)
}

fn map<'a, T: Pod>(object: &'a mut Ebpf, name: &str) -> Result<Array<&'a mut MapData, T>> {
    let map = object.map_mut(name).with_context(|| format!("the generator has no map {name}"))?;
    Ok(map.try_into()?)
}
