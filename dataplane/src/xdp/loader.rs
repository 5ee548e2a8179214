//! Loading the classifier, attaching it to interfaces, and giving it sockets.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fmt;
use std::os::fd::{AsRawFd, BorrowedFd};

use aya::maps::{PerCpuArray, XskMap};
use aya::programs::Xdp;
use aya::programs::xdp::{XdpLink, XdpLinkId, XdpMode as AyaMode};
use aya::programs::{ProgramError, links::Link};
use aya::util::KernelVersion;
use aya::{Ebpf, EbpfLoader, maps::MapData};

use super::error::errno;
use super::lane::{self, LaneMaps, LaneSize, Layout, LoadedMaps};
use super::maps::{StateMaps, take_map};
use super::pin::{self, FoundLink, Pins};
use super::{ClassifierCounters, ClassifierError, ClassifierState, MAX_QUEUES, verify};
use crate::io::PortId;
use crate::lane::HashSecret;

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/classifier.bpf.o"));

/// Where in the kernel the classifier runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum XdpMode {
    /// In the driver, before the kernel makes a socket buffer.
    Native,
    /// In the stack, for drivers without XDP: works everywhere, slower.
    Generic,
}

impl fmt::Display for XdpMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            XdpMode::Native => "native",
            XdpMode::Generic => "generic",
        })
    }
}

/// Where the classifier is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AttachPreference {
    /// In the driver, or in the stack where the driver can't.
    #[default]
    Auto,
    /// In the driver or not at all.
    Native,
    /// In the stack, even where the driver could.
    Generic,
}

impl AttachPreference {
    /// Whether this mode will do.
    fn allows(self, mode: XdpMode) -> bool {
        match self {
            AttachPreference::Auto => true,
            AttachPreference::Native => mode == XdpMode::Native,
            AttachPreference::Generic => mode == XdpMode::Generic,
        }
    }
}

/// The loaded classifier. Dropping it detaches it everywhere, and so does the end of the process; but not where its links are
/// pinned ([`LaneSize::pin`]).
pub struct Classifier {
    object: Ebpf,
    state: StateMaps,
    sockets: XskMap<MapData>,
    counters: PerCpuArray<MapData, u64>,
    links: BTreeMap<u32, (XdpLink, XdpMode)>,
    /// Where links are pinned.
    pins: Option<Pins>,
}

impl Classifier {
    /// Loads the program and its maps, without the fast lane. Until [`grow`](Self::grow) it passes every packet to the
    /// kernel.
    pub fn load() -> Result<Classifier, ClassifierError> {
        Self::load_object(&mut EbpfLoader::new())
    }

    /// The same with the fast lane, and the maps of that. Where they are to be pinned, and an earlier process has left such
    /// maps, these are they, with all that is in them.
    ///
    /// The earlier process' program goes on until [`attach`](Self::attach) puts this one in its place. So that nothing is
    /// lost, it is to know by then what it needs: [`grow`](Self::grow) comes before.
    pub fn load_with_lane(size: &LaneSize) -> Result<(Classifier, LaneMaps), ClassifierError> {
        let Some(folder) = &size.pin else {
            let secret = HashSecret::of(HashSecret::new_seed());
            let mut loader = EbpfLoader::new();
            lane::configure(&mut loader, size, &secret);
            let mut classifier = Self::load_object(&mut loader)?;
            let maps = LoadedMaps::take(&mut classifier.object, size, &secret)?;
            return Ok((classifier, LaneMaps::new(maps, size, None)?));
        };
        let pins = Pins::open(folder)?;
        let new = Layout::of(size).map_err(|source| ClassifierError::Map {
            map: "lane_layout",
            key: "making".into(),
            source,
        })?;
        let left = pins.take_what_is_left(new)?;
        let layout = left.unwrap_or(new);
        let secret = layout.secret();
        let mut loader = EbpfLoader::new();
        lane::configure(&mut loader, size, &secret);
        for name in pin::MAPS {
            loader.map_pin_path(name, pins.map(name));
        }
        let mut classifier = Self::load_object(&mut loader)?;
        let maps = LoadedMaps::take(&mut classifier.object, size, &secret)?;
        let maps = LaneMaps::new(maps, size, left)?;
        pins.set_layout(&layout.words())?;
        classifier.pins = Some(pins);
        Ok((classifier, maps))
    }

    fn load_object(loader: &mut EbpfLoader<'_>) -> Result<Classifier, ClassifierError> {
        match KernelVersion::current() {
            Ok(version) if version < KernelVersion::new(5, 9, 0) => {
                return Err(ClassifierError::KernelTooOld { found: format!("{version:?}") });
            }
            _ => (),
        }
        let mut object = loader.load(OBJECT)?;
        let program = program(&mut object)?;
        verify::patiently(|| program.load()).map_err(ClassifierError::Verify)?;
        Ok(Classifier {
            state: StateMaps::take(&mut object)?,
            sockets: take_map(&mut object, "xsks")?,
            counters: take_map(&mut object, "counters")?,
            links: BTreeMap::new(),
            pins: None,
            object,
        })
    }

    /// Attaches to an interface. Attached twice, it stays as it is.
    pub fn attach(
        &mut self,
        interface: &str,
        preference: AttachPreference,
    ) -> Result<XdpMode, ClassifierError> {
        let ifindex = index_of(interface)?;
        if let Some((_, mode)) = self.links.get(&ifindex) {
            return Ok(*mode);
        }
        let (link, mode) = match self.take_over(interface, ifindex, preference)? {
            Some(taken) => taken,
            None => {
                let program = program(&mut self.object)?;
                let (id, mode) = attach_as(program, interface, ifindex, preference)?;
                let link = program.take_link(id).map_err(ClassifierError::Verify)?;
                match &self.pins {
                    Some(pins) => (pins.pin(link, ifindex, mode)?, mode),
                    None => (link, mode),
                }
            }
        };
        tracing::info!(interface, ifindex, %mode, pinned = self.pins.is_some(), "XDP classifier attached");
        self.links.insert(ifindex, (link, mode));
        Ok(mode)
    }

    /// Puts the program in the place of an earlier process', where that has left its link and is in a mode that will do.
    fn take_over(
        &mut self,
        interface: &str,
        ifindex: u32,
        preference: AttachPreference,
    ) -> Result<Option<(XdpLink, XdpMode)>, ClassifierError> {
        let Some(pins) = &self.pins else { return Ok(None) };
        let Some(found) = pins.link(ifindex)? else { return Ok(None) };
        let FoundLink { mode, .. } = found;
        if preference.allows(mode) {
            let program = program(&mut self.object)?;
            let taken = found.open().and_then(|link| {
                let id = program.attach_to_link(link).map_err(ClassifierError::Verify)?;
                program.take_link(id).map_err(ClassifierError::Verify)
            });
            match taken {
                Ok(link) => return Ok(Some((link, mode))),
                // Such as that of an interface that is gone, whose number another has now.
                Err(error) => {
                    tracing::warn!(interface, %error, "a pinned XDP link is of no use, making another")
                }
            }
        }
        pins.detach(&found)?;
        Ok(None)
    }

    /// Detaches what earlier processes have left attached to interfaces that this one is not attached to. To be called when
    /// it is attached to all that it will be. Their indices.
    pub fn detach_left(&mut self) -> Result<Vec<u32>, ClassifierError> {
        let Some(pins) = &self.pins else { return Ok(Vec::new()) };
        let mut left = pins.links()?;
        left.retain(|link| !self.links.contains_key(&link.ifindex));
        for link in &left {
            pins.detach(link)?;
        }
        Ok(left.into_iter().map(|link| link.ifindex).collect())
    }

    /// Detaches from an interface. One that is gone, or never was attached to, is detached already.
    pub fn detach(&mut self, interface: &str) -> Result<(), ClassifierError> {
        self.detach_index(index_of(interface)?)
    }

    /// As [`detach`](Self::detach), for an interface whose name is no longer known.
    pub fn detach_index(&mut self, ifindex: u32) -> Result<(), ClassifierError> {
        let Some((link, _)) = self.links.remove(&ifindex) else { return Ok(()) };
        if let Some(pins) = &self.pins
            && let Some(pinned) = pins.link(ifindex)?
        {
            pins.detach(&pinned)?;
        }
        link.detach().map_err(ClassifierError::Verify)
    }

    /// The mode on an interface, if attached.
    pub fn mode(&self, ifindex: u32) -> Option<XdpMode> {
        self.links.get(&ifindex).map(|(_, mode)| *mode)
    }

    /// Gives the socket of a port's queue to the classifier. When the socket is closed the entry goes with it.
    pub fn bind_socket(
        &mut self,
        port: PortId,
        queue: u32,
        socket: BorrowedFd<'_>,
    ) -> Result<(), ClassifierError> {
        let index = socket_index(port, queue)?;
        self.sockets.set(index, socket.as_raw_fd(), 0).map_err(|source| ClassifierError::Map {
            map: "xsks",
            key: format!("port {} queue {queue}", port.0),
            source,
        })
    }

    /// Adds what `target` has and the classifier does not know yet.
    pub fn grow(&mut self, target: &ClassifierState) -> Result<(), ClassifierError> {
        self.state.grow(target)
    }

    /// Removes what the classifier knows and `target` does not have.
    pub fn shrink(&mut self, target: &ClassifierState) -> Result<(), ClassifierError> {
        self.state.shrink(target)
    }

    /// What the classifier knows now.
    pub fn state(&self) -> &ClassifierState {
        self.state.applied()
    }

    /// The counters, summed over processors.
    pub fn counters(&self) -> Result<ClassifierCounters, ClassifierError> {
        ClassifierCounters::from_map(|index| Ok(self.counters.get(&index, 0)?.iter().sum()))
            .map_err(|source| ClassifierError::Map { map: "counters", key: "reading".into(), source })
    }

    #[cfg(test)]
    pub(super) fn program(&mut self) -> &mut Xdp {
        program(&mut self.object).unwrap()
    }
}

impl fmt::Debug for Classifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let modes: BTreeMap<_, _> = self.links.iter().map(|(index, (_, mode))| (index, mode)).collect();
        f.debug_struct("Classifier").field("attached", &modes).finish_non_exhaustive()
    }
}

fn program(object: &mut Ebpf) -> Result<&mut Xdp, ClassifierError> {
    let program = object.program_mut("classify").ok_or(ClassifierError::Missing("program `classify`"))?;
    program.try_into().map_err(ClassifierError::Verify)
}

fn attach_as(
    program: &mut Xdp,
    interface: &str,
    ifindex: u32,
    preference: AttachPreference,
) -> Result<(XdpLinkId, XdpMode), ClassifierError> {
    let refused = |error: ProgramError| match errno(&error) {
        Some(libc::EBUSY | libc::EEXIST) => ClassifierError::AlreadyAttached(interface.into()),
        _ => ClassifierError::Attach { interface: interface.into(), source: error.into() },
    };
    if preference != AttachPreference::Generic {
        match program.attach_to_if_index(ifindex, AyaMode::Driver).map_err(refused) {
            Ok(id) => return Ok((id, XdpMode::Native)),
            Err(error @ ClassifierError::Attach { .. }) if preference == AttachPreference::Auto => {
                tracing::warn!(interface, %error, "native XDP is refused, trying generic mode (slower)");
            }
            Err(error) => return Err(error),
        }
    }
    let id = program.attach_to_if_index(ifindex, AyaMode::Skb).map_err(refused)?;
    Ok((id, XdpMode::Generic))
}

fn index_of(interface: &str) -> Result<u32, ClassifierError> {
    let missing = || ClassifierError::NoSuchInterface(interface.into());
    let name = CString::new(interface).map_err(|_| missing())?;
    nix::net::if_::if_nametoindex(name.as_c_str()).map_err(|_| missing())
}

/// `slot * QUEUES_PER_SLOT + queue` of the classifier.
fn socket_index(port: PortId, queue: u32) -> Result<u32, ClassifierError> {
    if queue >= MAX_QUEUES {
        return Err(ClassifierError::QueueOutOfRange { port, queue });
    }
    Ok(u32::from(port.0) * MAX_QUEUES + queue)
}
