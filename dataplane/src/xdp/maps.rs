//! Keeping the classifier's maps equal to a state, entry by entry.
//!
//! [`StateMaps`] remembers what it wrote. [`grow`](StateMaps::grow) only adds to that, [`shrink`](StateMaps::shrink)
//! only removes; what failed to be written is not remembered, so the next call tries it again. Either costs what differs
//! from the state before, where that state's maps were changed and not made anew.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use aya::Ebpf;
use aya::maps::{
    Array, HashMap, MapData, MapError,
    lpm_trie::{Key, LpmTrie},
};
use imbl::{OrdSet, ordmap, ordset};

use super::{AddressFlags, ClassifierError, ClassifierState, FamilyPort, InterfaceEntry};

/// `BACKEND_ROLE` of `maps.h`.
const BACKEND_ROLE: u32 = 1;
/// `PORT_WORDS` of `maps.h`.
const WORDS_PER_PROTOCOL: usize = 65536 / 64;
/// `FAMILY_WORDS` of `maps.h`.
const WORDS_PER_FAMILY: usize = 3 * WORDS_PER_PROTOCOL;

/// The maps that hold the state, and what is in them.
pub(super) struct StateMaps {
    addresses4: HashMap<MapData, [u8; 4], u32>,
    addresses6: HashMap<MapData, [u8; 16], u32>,
    ranges4: LpmTrie<MapData, [u8; 4], u32>,
    ranges6: LpmTrie<MapData, [u8; 16], u32>,
    ports: Array<MapData, u64>,
    port_words: Box<[u64]>,
    config: Array<MapData, [u16; 2]>,
    interfaces: HashMap<MapData, u32, [u32; 2]>,
    applied: ClassifierState,
}

/// The lists of ports, which share a map. The numbers are those of `maps.h`.
#[derive(Debug, Clone, Copy)]
enum PortList {
    NodePorts = 0,
    Backends = 1,
}

impl PortList {
    const ALL: [PortList; 2] = [Self::NodePorts, Self::Backends];

    /// The word of the map that has the port's bit.
    fn word(self, port: FamilyPort) -> Result<usize, ClassifierError> {
        let protocol = match i32::from(port.protocol) {
            libc::IPPROTO_TCP => 0,
            libc::IPPROTO_UDP => 1,
            libc::IPPROTO_SCTP => 2,
            _ => {
                return Err(ClassifierError::NotAPortProtocol { protocol: port.protocol, port: port.port });
            }
        };
        let family = (2 * self as usize + usize::from(port.v6)) * WORDS_PER_FAMILY;
        Ok(family + protocol * WORDS_PER_PROTOCOL + usize::from(port.port / 64))
    }

    fn of(self, state: &ClassifierState) -> &OrdSet<FamilyPort> {
        match self {
            Self::NodePorts => &state.node_ports,
            Self::Backends => &state.backend_ports,
        }
    }

    fn of_mut(self, state: &mut ClassifierState) -> &mut OrdSet<FamilyPort> {
        match self {
            Self::NodePorts => &mut state.node_ports,
            Self::Backends => &mut state.backend_ports,
        }
    }
}

impl StateMaps {
    /// Takes the maps out of a freshly loaded object.
    pub(super) fn take(object: &mut Ebpf) -> Result<StateMaps, ClassifierError> {
        let mut maps = StateMaps {
            addresses4: take_map(object, "addresses4")?,
            addresses6: take_map(object, "addresses6")?,
            ranges4: take_map(object, "ranges4")?,
            ranges6: take_map(object, "ranges6")?,
            ports: take_map(object, "ports")?,
            port_words: vec![0; PortList::ALL.len() * 2 * WORDS_PER_FAMILY].into(),
            config: take_map(object, "config")?,
            interfaces: take_map(object, "interfaces")?,
            applied: ClassifierState::default(),
        };
        // The map starts as zeroes, which is the range 0 to 0.
        maps.write_snat(&ClassifierState::NO_SNAT_PORTS)?;
        Ok(maps)
    }

    /// What is in the maps.
    pub(super) fn applied(&self) -> &ClassifierState {
        &self.applied
    }

    /// Adds what `target` has and the maps lack.
    pub(super) fn grow(&mut self, target: &ClassifierState) -> Result<(), ClassifierError> {
        let range = hull(&self.applied.snat_ports, &target.snat_ports);
        self.write_snat(&range)?;
        for (&ifindex, &entry) in &target.interfaces {
            let held = self.applied.interfaces.get(&ifindex);
            let backend = entry.backend || held.is_some_and(|held| held.backend);
            self.write_interface(ifindex, Some(InterfaceEntry { backend, ..entry }))?;
        }
        let applied = self.applied.addresses.clone();
        for item in applied.diff(&target.addresses) {
            let (address, flags) = match item {
                ordmap::DiffItem::Add(address, flags) => (address, *flags),
                ordmap::DiffItem::Update { old: (address, held), new: (_, flags) } => {
                    (address, *held | *flags)
                }
                ordmap::DiffItem::Remove(..) => continue,
            };
            self.write_address(*address, flags)?;
        }
        for &range in target.ranges.difference(&self.applied.ranges.clone()) {
            self.write_range(range, true)?;
        }
        for list in PortList::ALL {
            for item in list.of(&self.applied).clone().diff(list.of(target)) {
                if let ordset::DiffItem::Add(port) = item {
                    self.write_port(list, *port, true)?;
                }
            }
        }
        self.share(target);
        Ok(())
    }

    /// Removes what the maps have and `target` lacks.
    pub(super) fn shrink(&mut self, target: &ClassifierState) -> Result<(), ClassifierError> {
        for list in PortList::ALL {
            for item in list.of(&self.applied).clone().diff(list.of(target)) {
                if let ordset::DiffItem::Remove(port) = item {
                    self.write_port(list, *port, false)?;
                }
            }
        }
        for range in self.applied.ranges.clone() {
            if !target.ranges.contains(&range) {
                self.write_range(range, false)?;
            }
        }
        let applied = self.applied.addresses.clone();
        for item in applied.diff(&target.addresses) {
            let (address, flags) = match item {
                ordmap::DiffItem::Remove(address, _) => (address, AddressFlags::NONE),
                ordmap::DiffItem::Update { old: (address, held), new: (_, flags) } => {
                    (address, *held & *flags)
                }
                ordmap::DiffItem::Add(..) => continue,
            };
            self.write_address(*address, flags)?;
        }
        let held: Vec<_> = self.applied.interfaces.iter().map(|(&index, &entry)| (index, entry)).collect();
        for (ifindex, entry) in held {
            let wanted = target.interfaces.get(&ifindex);
            let kept =
                wanted.map(|wanted| InterfaceEntry { backend: entry.backend && wanted.backend, ..entry });
            self.write_interface(ifindex, kept)?;
        }
        let range = overlap(&self.applied.snat_ports, &target.snat_ports);
        self.write_snat(&range)?;
        self.share(target);
        Ok(())
    }

    /// Equal maps become the same, so that the next comparison passes over what they have in common. Two that differ in
    /// a few entries share the rest already.
    fn share(&mut self, target: &ClassifierState) {
        if self.applied.addresses == target.addresses {
            self.applied.addresses.clone_from(&target.addresses);
        }
        for list in PortList::ALL {
            if list.of(&self.applied) == list.of(target) {
                list.of_mut(&mut self.applied).clone_from(list.of(target));
            }
        }
    }

    fn write_address(&mut self, address: IpAddr, flags: AddressFlags) -> Result<(), ClassifierError> {
        let held = self.applied.addresses.get(&address).copied().unwrap_or_default();
        if held == flags {
            return Ok(());
        }
        match address {
            IpAddr::V4(v4) => put(&mut self.addresses4, v4.octets(), flags.bits()),
            IpAddr::V6(v6) => put(&mut self.addresses6, v6.octets(), flags.bits()),
        }
        .map_err(|source| ClassifierError::Map {
            map: "addresses",
            key: address.to_string(),
            source,
        })?;
        match flags {
            AddressFlags::NONE => drop(self.applied.addresses.remove(&address)),
            flags => drop(self.applied.addresses.insert(address, flags)),
        }
        Ok(())
    }

    fn write_range(&mut self, (address, length): (IpAddr, u8), add: bool) -> Result<(), ClassifierError> {
        let (bits, vip) = (u32::from(length), AddressFlags::VIP.bits());
        match (address, add) {
            (IpAddr::V4(v4), true) => self.ranges4.insert(&Key::new(bits, v4.octets()), vip, 0),
            (IpAddr::V6(v6), true) => self.ranges6.insert(&Key::new(bits, v6.octets()), vip, 0),
            (IpAddr::V4(v4), false) => ignore_missing(self.ranges4.remove(&Key::new(bits, v4.octets()))),
            (IpAddr::V6(v6), false) => ignore_missing(self.ranges6.remove(&Key::new(bits, v6.octets()))),
        }
        .map_err(|source| ClassifierError::Map {
            map: "ranges",
            key: format!("{address}/{length}"),
            source,
        })?;
        match add {
            true => self.applied.ranges.insert((address, length)),
            false => self.applied.ranges.remove(&(address, length)),
        };
        Ok(())
    }

    fn write_port(&mut self, list: PortList, port: FamilyPort, open: bool) -> Result<(), ClassifierError> {
        let index = list.word(port)?;
        let bit = 1u64 << (port.port % 64);
        let word = if open { self.port_words[index] | bit } else { self.port_words[index] & !bit };
        self.ports.set(index as u32, word, 0).map_err(|source| ClassifierError::Map {
            map: "ports",
            key: port.to_string(),
            source,
        })?;
        self.port_words[index] = word;
        let applied = list.of_mut(&mut self.applied);
        match open {
            true => applied.insert(port),
            false => applied.remove(&port),
        };
        Ok(())
    }

    fn write_interface(&mut self, index: u32, entry: Option<InterfaceEntry>) -> Result<(), ClassifierError> {
        if self.applied.interfaces.get(&index).copied() == entry {
            return Ok(());
        }
        match entry {
            Some(InterfaceEntry { port, backend }) => {
                let flags = if backend { BACKEND_ROLE } else { 0 };
                self.interfaces.insert(index, [u32::from(port.0), flags], 0)
            }
            None => ignore_missing(self.interfaces.remove(&index)),
        }
        .map_err(|source| ClassifierError::Map {
            map: "interfaces",
            key: format!("interface {index}"),
            source,
        })?;
        match entry {
            Some(entry) => drop(self.applied.interfaces.insert(index, entry)),
            None => drop(self.applied.interfaces.remove(&index)),
        }
        Ok(())
    }

    fn write_snat(&mut self, range: &RangeInclusive<u16>) -> Result<(), ClassifierError> {
        let range = if range.is_empty() { ClassifierState::NO_SNAT_PORTS } else { range.clone() };
        self.config.set(0, [*range.start(), *range.end()], 0).map_err(|source| ClassifierError::Map {
            map: "config",
            key: format!("SNAT ports {range:?}"),
            source,
        })?;
        self.applied.snat_ports = range;
        Ok(())
    }
}

/// Takes a map of the right type out of the object.
pub(super) fn take_map<M>(object: &mut Ebpf, name: &'static str) -> Result<M, ClassifierError>
where
    M: TryFrom<aya::maps::Map, Error = MapError>,
{
    let map = object.take_map(name).ok_or(ClassifierError::Missing(name))?;
    M::try_from(map).map_err(|source| ClassifierError::Map { map: name, key: "its type".into(), source })
}

fn put<K: aya::Pod>(map: &mut HashMap<MapData, K, u32>, key: K, flags: u32) -> Result<(), MapError> {
    match flags {
        0 => ignore_missing(map.remove(&key)),
        flags => map.insert(key, flags, 0),
    }
}

/// What is to be removed may be gone.
fn ignore_missing(result: Result<(), MapError>) -> Result<(), MapError> {
    match result {
        Err(MapError::SyscallError(error)) if error.io_error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        Err(MapError::KeyNotFound) => Ok(()),
        other => other,
    }
}

/// The smallest range that holds both.
fn hull(a: &RangeInclusive<u16>, b: &RangeInclusive<u16>) -> RangeInclusive<u16> {
    match (a.is_empty(), b.is_empty()) {
        (true, _) => b.clone(),
        (_, true) => a.clone(),
        _ => *a.start().min(b.start())..=*a.end().max(b.end()),
    }
}

/// What is in both.
fn overlap(a: &RangeInclusive<u16>, b: &RangeInclusive<u16>) -> RangeInclusive<u16> {
    *a.start().max(b.start())..=*a.end().min(b.end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let none = ClassifierState::NO_SNAT_PORTS;
        assert_eq!(hull(&none, &(5..=9)), 5..=9);
        assert_eq!(hull(&(5..=9), &none), 5..=9);
        assert_eq!(hull(&(5..=9), &(20..=30)), 5..=30);
        assert_eq!(overlap(&(5..=30), &(20..=40)), 20..=30);
        assert!(overlap(&(5..=9), &(20..=40)).is_empty());
        assert!(overlap(&(5..=9), &none).is_empty());
    }
}
