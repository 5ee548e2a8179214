//! What outlives the process: the lane's maps and the XDP links, pinned in a folder on a BPF file system.
//!
//! A later process finds them, goes on with the maps if they are laid out as its own would be, and puts its program in place
//! of the earlier one's in the links, at once: no packet finds an interface without a program. Maps that are laid out otherwise
//! are unpinned, and go with the earlier program.
//!
//! Names: maps by their own; links `link_INDEX_MODE`. The map `lane_layout` says what the others are; it is pinned last, so
//! that what a process has left unfinished is not taken for whole.

use super::{
    ClassifierError, XdpMode,
    lane::{LAYOUT_WORDS, Layout},
    link::detach_link,
};
use aya::{
    maps::{Array, Map, MapData},
    programs::{
        links::{FdLink, PinnedLink},
        xdp::XdpLink,
    },
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Where the runtime's folder is, unless it is told otherwise.
pub const DEFAULT_PIN_FOLDER: &str = "/sys/fs/bpf/penstock";

/// The lane's maps, without that of the layout.
pub(super) const MAPS: [&str; 7] =
    ["lane_index4", "lane_index6", "lane_slots4", "lane_slots6", "lane_hops", "lane_notices", "lane_ports"];
const LAYOUT: &str = "lane_layout";

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Pins {
    folder: PathBuf,
}

/// A pinned XDP link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FoundLink {
    path: PathBuf,
    pub(super) ifindex: u32,
    pub(super) mode: XdpMode,
}

impl Pins {
    /// Those in a folder, which is made if it is not there.
    pub(super) fn open(folder: &Path) -> Result<Self, ClassifierError> {
        let pins = Self { folder: folder.into() };
        fs::create_dir_all(folder).map_err(|source| pins.error("made", folder, source))?;
        let kind = nix::sys::statfs::statfs(folder)
            .map_err(|errno| pins.error("looked at", folder, errno.into()))?
            .filesystem_type();
        if kind != nix::sys::statfs::BPF_FS_MAGIC {
            return Err(ClassifierError::NotBpffs(folder.into()));
        }
        Ok(pins)
    }

    /// Where a map is pinned.
    pub(super) fn map(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The layout of the maps here, if a process with a layout like `new` can go on with them. If not, they are unpinned; the
    /// programs of links that stay have them as long as they need them.
    pub(super) fn take_what_is_left(&self, new: Layout) -> Result<Option<Layout>, ClassifierError> {
        let found = self.layout();
        let left = found.and_then(|found| new.going_on_with(&found));
        if left.is_none() {
            if found.is_none_or(|found| new.is_elsewhere(&found)) {
                self.links()?.iter().try_for_each(|link| self.detach(link))?;
            }
            let maps = self.remove_maps()?.len();
            if maps > 0 {
                tracing::info!(
                    maps,
                    "what an earlier process has pinned is laid out otherwise, and is replaced"
                );
            }
        }
        Ok(left)
    }

    /// What is said of the maps here, if all of them are.
    fn layout(&self) -> Option<[u64; LAYOUT_WORDS]> {
        if !MAPS.iter().all(|name| self.map(name).exists()) {
            return None;
        }
        let map = Map::from_map_data(MapData::from_pin(self.map(LAYOUT)).ok()?).ok()?;
        let words = Array::<_, u64>::try_from(map).ok()?;
        let mut layout = [0; LAYOUT_WORDS];
        for (number, word) in layout.iter_mut().enumerate() {
            *word = words.get(&(number as u32), 0).ok()?;
        }
        Some(layout)
    }

    /// Says what the maps here are, in place of what was said before.
    pub(super) fn set_layout(&self, layout: &[u64; LAYOUT_WORDS]) -> Result<(), ClassifierError> {
        let wrong = |source| ClassifierError::Map { map: LAYOUT, key: "writing".into(), source };
        let mut words = Array::<_, u64>::create(LAYOUT_WORDS as u32, 0).map_err(wrong)?;
        for (number, word) in layout.iter().enumerate() {
            words.set(number as u32, word, 0).map_err(wrong)?;
        }
        let path = self.map(LAYOUT);
        self.remove(&path)?;
        words.pin(&path).map_err(|error| self.error("pinned", &path, io::Error::other(error)))
    }

    /// Unpins the maps. Which there were.
    fn remove_maps(&self) -> Result<Vec<&'static str>, ClassifierError> {
        // First of all what says that the others are right.
        let mut removed = Vec::new();
        for name in [LAYOUT].into_iter().chain(MAPS) {
            if self.remove(&self.map(name))? {
                removed.push(name);
            }
        }
        Ok(removed)
    }

    /// The links here.
    pub(super) fn links(&self) -> Result<Vec<FoundLink>, ClassifierError> {
        let error = |source| self.error("listed", &self.folder, source);
        let mut links = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(error)? {
            let path = entry.map_err(error)?.path();
            links.extend(FoundLink::at(path));
        }
        links.sort_by_key(|link| link.ifindex);
        Ok(links)
    }

    /// The link of an interface.
    pub(super) fn link(&self, ifindex: u32) -> Result<Option<FoundLink>, ClassifierError> {
        Ok(self.links()?.into_iter().find(|link| link.ifindex == ifindex))
    }

    /// Pins a link.
    pub(super) fn pin(&self, link: XdpLink, ifindex: u32, mode: XdpMode) -> Result<XdpLink, ClassifierError> {
        let path = self.folder.join(format!("link_{ifindex}_{mode}"));
        let wrong = |error: io::Error| self.error("pinned", &path, error);
        let link = FdLink::try_from(link).map_err(|error| wrong(io::Error::other(error)))?;
        let pinned = link.pin(&path).map_err(|error| wrong(io::Error::other(error)))?;
        XdpLink::try_from(FdLink::from(pinned)).map_err(|error| wrong(io::Error::other(error)))
    }

    /// Takes a link off its interface, whoever else holds it.
    pub(super) fn detach(&self, link: &FoundLink) -> Result<(), ClassifierError> {
        detach_link(&link.path).map_err(|source| self.error("detached", &link.path, source))?;
        self.remove(&link.path).map(drop)
    }

    fn remove(&self, path: &Path) -> Result<bool, ClassifierError> {
        match fs::remove_file(path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(self.error("removed", path, source)),
        }
    }

    fn error(&self, action: &'static str, path: &Path, source: io::Error) -> ClassifierError {
        ClassifierError::Pin { path: path.into(), action, source }
    }
}

impl FoundLink {
    /// The link that is pinned here, going by the name.
    fn at(path: PathBuf) -> Option<Self> {
        let name = path.file_name()?.to_str()?.strip_prefix("link_")?;
        let (ifindex, mode) = name.split_once('_')?;
        let ifindex = ifindex.parse().ok()?;
        let mode = [XdpMode::Native, XdpMode::Generic].into_iter().find(|known| known.to_string() == mode)?;
        Some(Self { path, ifindex, mode })
    }

    /// Opens it.
    pub(super) fn open(&self) -> Result<XdpLink, ClassifierError> {
        let wrong = |error| ClassifierError::Pin {
            path: self.path.clone(),
            action: "opened",
            source: io::Error::other(error),
        };
        let pinned = PinnedLink::from_pin(&self.path).map_err(wrong)?;
        XdpLink::try_from(FdLink::from(pinned)).map_err(wrong)
    }
}

/// Removes everything that is pinned in a folder: XDP links are taken off their interfaces, even while a process runs that
/// attached them, and maps are unpinned. What was removed, in words; nothing if there is no such folder.
pub fn detach_pinned(folder: &Path) -> Result<Vec<String>, ClassifierError> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let pins = Pins::open(folder)?;
    let mut removed = Vec::new();
    for link in pins.links()? {
        pins.detach(&link)?;
        let FoundLink { ifindex, mode, .. } = link;
        let name = nix::net::if_::if_indextoname(ifindex);
        let name =
            name.map_or("an interface that is gone".into(), |name| name.to_string_lossy().into_owned());
        removed.push(format!("XDP program ({mode}) on {name} (index {ifindex})"));
    }
    removed.extend(pins.remove_maps()?.into_iter().map(|map| format!("map {map}")));
    // Another's files may be there.
    if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none()) {
        fs::remove_dir(folder).map_err(|source| pins.error("removed", folder, source))?;
    }
    Ok(removed)
}
