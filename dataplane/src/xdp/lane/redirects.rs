//! What becomes of redirected packets: `redirects.bpf.c` counts it at two tracepoints of the kernel, as the classifier learns
//! nothing of it.
//!
//! Where the kernel has no BTF, or refuses, there are no counts, and the lane works without.

use crate::{io::PortId, xdp::verify};
use aya::{
    Btf, Ebpf, EbpfError, EbpfLoader,
    maps::{HashMap, MapData, MapError},
    programs::{BtfTracePoint, ProgramError},
};
use std::{collections::BTreeMap, os::unix::fs::MetadataExt};

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/redirects.bpf.o"));

/// Packets that were redirected to a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RedirectCounts {
    /// Those that its driver took. Of generic XDP none are counted.
    pub sent: u64,
    /// Those that were lost because the driver does not take such, or not now, or could not be asked.
    pub refused: u64,
    /// Those that were lost because it had no room.
    pub overrun: u64,
}

/// `struct target` of `redirects.bpf.c`: what kind of name, and the name.
type Target = [u32; 3];

/// How a target is named there.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// By the network namespace of the interface and its index.
    Namespace = 0,
    /// By the map and the place in it.
    Map = 1,
}

/// The counting programs, attached while this lives.
pub(super) struct Redirects {
    counts: HashMap<MapData, Target, [u64; 3]>,
    /// The devmap.
    map: u32,
    ports: BTreeMap<PortId, Target>,
    _object: Ebpf,
}

/// Why there are no counts.
#[derive(Debug, thiserror::Error)]
enum Unavailable {
    #[error("the kernel has no BTF: {0}")]
    Btf(#[from] aya::BtfError),
    #[error("the program was refused: {0}")]
    Load(#[from] EbpfError),
    #[error("the program was refused: {0}")]
    Program(#[from] ProgramError),
    #[error("the map could not be used: {0}")]
    Map(#[from] MapError),
    #[error("the object has no {0}")]
    Missing(&'static str),
}

impl Redirects {
    /// Starts counting redirects by the devmap with this number; `None`, with a warning, where that is not possible.
    pub(super) fn start(map: u32) -> Option<Self> {
        match Self::try_start(map) {
            Ok(redirects) => Some(redirects),
            Err(error) => {
                tracing::warn!(
                    %error,
                    "lost redirects cannot be counted, so an interface that loses them stays in the fast lane; a kernel \
                     with CONFIG_DEBUG_INFO_BTF can (`ls /sys/kernel/btf/vmlinux`)"
                );
                None
            }
        }
    }

    fn try_start(map: u32) -> Result<Self, Unavailable> {
        let btf = Btf::from_sys_fs()?;
        // `Ebpf::load` would read the kernel's BTF twice.
        let mut object = EbpfLoader::new().load(OBJECT)?;
        attach(&mut object, "devmap_xmit", "xdp_devmap_xmit", &btf)?;
        attach(&mut object, "redirect_err", "xdp_redirect_err", &btf)?;
        let counts = object.take_map("redirects").ok_or(Unavailable::Missing("map `redirects`"))?;
        Ok(Self { counts: counts.try_into()?, map, ports: BTreeMap::new(), _object: object })
    }

    /// Counts what goes to a port, which is an interface of this thread's network namespace; or no longer does.
    pub(super) fn watch(&mut self, port: PortId, ifindex: Option<u32>) -> Result<(), MapError> {
        if let Some(before) = self.ports.remove(&port) {
            self.forget(before)?;
            self.forget(self.by_map(port))?;
        }
        if let Some(ifindex) = ifindex {
            let by_namespace = [Kind::Namespace as u32, namespace()?, ifindex];
            for target in [by_namespace, self.by_map(port)] {
                self.counts.insert(target, [0; 3], 0)?;
            }
            self.ports.insert(port, by_namespace);
        }
        Ok(())
    }

    /// What was counted, by port.
    pub(super) fn counts(&self) -> Result<BTreeMap<PortId, RedirectCounts>, MapError> {
        let count = |(port, by_namespace): (&PortId, &Target)| {
            let [sent, refused, overrun] = self.counts.get(by_namespace, 0)?;
            let [_, unasked, _] = self.counts.get(&self.by_map(*port), 0)?;
            Ok((*port, RedirectCounts { sent, refused: refused + unasked, overrun }))
        };
        self.ports.iter().map(count).collect()
    }

    fn by_map(&self, port: PortId) -> Target {
        [Kind::Map as u32, self.map, port.0.into()]
    }

    fn forget(&mut self, target: Target) -> Result<(), MapError> {
        match self.counts.remove(&target) {
            Err(MapError::KeyNotFound) => Ok(()),
            other => other,
        }
    }
}

fn attach(object: &mut Ebpf, program: &'static str, tracepoint: &str, btf: &Btf) -> Result<(), Unavailable> {
    let program = object.program_mut(program).ok_or(Unavailable::Missing(program))?;
    let program: &mut BtfTracePoint = program.try_into()?;
    verify::patiently(|| program.load(tracepoint, btf))?;
    program.attach()?;
    Ok(())
}

/// The number of this thread's network namespace, as the kernel's `ns_common` has it.
pub(super) fn namespace() -> Result<u32, MapError> {
    Ok(std::fs::metadata("/proc/thread-self/ns/net")?.ino() as u32)
}
