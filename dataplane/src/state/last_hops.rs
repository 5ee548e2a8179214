//! The ways back to clients ("auto last hop"): each link that the packets of flows came from, kept once.
//!
//! Clients come from a handful of routers, or from the hosts of one network, so a flow keeps two bytes instead of a
//! link. Each flow of a client is a user of its last hop; one without users is forgotten, and its number used again.
//!
//! In: links, as packets arrive. Out: numbers, and what they stand for. A hit costs one indexed load; a new flow a hash
//! look-up. Memory: about 200 bytes for each of at most [`LastHops::MOST`] hops, taken at the start.

use super::Way;
use crate::{
    io::PortId,
    table::Link,
    wire::{EtherAddr, VlanTags},
};
use hashbrown::{DefaultHashBuilder, HashMap};

/// Ports that room is taken for at the start: all there can be.
const PORTS: usize = u8::MAX as usize + 1;

/// The number of a last hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LastHopId(pub(super) u32);

impl LastHopId {
    /// Its place among all of them: below [`LastHops::MOST`].
    #[inline(always)]
    pub(crate) fn place(self) -> usize {
        self.0 as usize
    }
}

/// A way back to clients.
#[derive(Debug, Clone, Copy)]
pub struct LastHop {
    /// The way.
    pub link: Link,
    users: u32,
}

/// What frames that come from a last hop look like.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(32))]
pub struct Inbound {
    /// As they have them.
    addresses: [u8; ADDRESSES],
    port: u32,
    vlan: VlanTags,
}

/// Both addresses of an Ethernet header.
const ADDRESSES: usize = 2 * size_of::<EtherAddr>();

impl Inbound {
    fn of(link: &Link) -> Self {
        let mut addresses = [0; ADDRESSES];
        let (to_us, from_there) = addresses.split_at_mut(size_of::<EtherAddr>());
        to_us.copy_from_slice(&link.source.0);
        from_there.copy_from_slice(&link.destination.0);
        Self { addresses, port: u32::from(link.port.0), vlan: link.vlan }
    }

    /// Zero if a frame with these tags came this way. A number, and no branch: the answer is asked for in one of two
    /// directions only.
    #[inline(always)]
    pub fn difference(&self, frame: &[u8], port: PortId, vlan: VlanTags) -> u64 {
        let Some(addresses) = frame.first_chunk::<ADDRESSES>() else { return u64::MAX };
        let [high, low] = [addresses, &self.addresses].map(|addresses| {
            let [a, b, c, d, e, f, g, h, rest @ ..] = *addresses;
            (u64::from_ne_bytes([a, b, c, d, e, f, g, h]), u64::from(u32::from_ne_bytes(rest)))
        });
        let addresses = (high.0 ^ low.0) | (high.1 ^ low.1);
        addresses | vlan.difference(self.vlan) | u64::from(self.port ^ u32::from(port.0))
    }
}

/// See the module.
#[derive(Debug)]
pub struct LastHops {
    hops: Vec<LastHop>,
    inbound: Vec<Inbound>,
    ways: Vec<Way>,
    /// What fits through the ports, as the ways have it.
    port_mtus: Vec<u16>,
    free: Vec<LastHopId>,
    ids: HashMap<Link, LastHopId>,
    most: usize,
    /// What was acquired last, and often is again: many clients are behind few routers.
    latest: LastHopId,
}

impl LastHops {
    /// The most there can be: the hosts of a large network.
    pub const MOST: usize = 1 << 14;

    /// Room for the last hops of `flows` flows.
    pub fn new(flows: usize) -> Self {
        let most = flows.saturating_add(1).min(Self::MOST);
        Self {
            hops: Vec::with_capacity(most),
            inbound: Vec::with_capacity(most),
            ways: Vec::with_capacity(most),
            port_mtus: Vec::with_capacity(PORTS),
            free: Vec::with_capacity(most),
            // Twice the room it needs: then it never grows, whatever comes and goes.
            ids: HashMap::with_capacity_and_hasher(2 * most, DefaultHashBuilder::default()),
            most,
            latest: LastHopId::default(),
        }
    }

    /// What frames from them look like, by their [`place`](LastHopId::place)s; of those without users too.
    #[inline]
    pub(crate) fn inbound(&self) -> &[Inbound] {
        &self.inbound
    }

    /// The ways to them, by the same places.
    #[inline]
    pub(crate) fn ways(&self) -> &[Way] {
        &self.ways
    }

    /// From now on so much fits through the ports.
    #[inline]
    pub(crate) fn fit(&mut self, port_mtus: &[u16]) {
        if self.port_mtus != port_mtus {
            self.refit(port_mtus);
        }
    }

    #[cold]
    fn refit(&mut self, port_mtus: &[u16]) {
        self.port_mtus.clear();
        self.port_mtus.extend_from_slice(port_mtus);
        for (way, hop) in self.ways.iter_mut().zip(&self.hops) {
            *way = way_to(&hop.link, port_mtus);
        }
    }

    /// The last hop with this number, which has a user.
    #[inline(always)]
    pub fn get(&self, id: LastHopId) -> Option<&LastHop> {
        self.hops.get(id.place())
    }

    /// The number of this way, which gets one more user. `None`: there are too many.
    pub fn acquire(&mut self, link: Link) -> Option<LastHopId> {
        let is_latest = self.get(self.latest).is_some_and(|hop| hop.users > 0 && hop.link == link);
        let id = match is_latest {
            true => self.latest,
            false => match self.ids.get(&link) {
                Some(id) => *id,
                None => self.add(link)?,
            },
        };
        self.latest = id;
        self.hops[id.place()].users += 1;
        Some(id)
    }

    fn add(&mut self, link: Link) -> Option<LastHopId> {
        let hop = LastHop { link, users: 0 };
        let (came, way) = (Inbound::of(&link), way_to(&link, &self.port_mtus));
        let id = match self.free.pop() {
            Some(id) => {
                self.hops[id.place()] = hop;
                self.inbound[id.place()] = came;
                self.ways[id.place()] = way;
                id
            }
            None if self.hops.len() < self.most => {
                self.hops.push(hop);
                self.inbound.push(came);
                self.ways.push(way);
                LastHopId((self.hops.len() - 1) as u32)
            }
            None => return None,
        };
        self.ids.insert(link, id);
        Some(id)
    }

    /// A user of `id` comes this way now. Where that cannot be kept, it stays with its old one.
    #[must_use]
    pub fn note(&mut self, id: LastHopId, link: Link) -> LastHopId {
        if self.get(id).is_some_and(|hop| hop.link == link) {
            return id;
        }
        let Some(new) = self.acquire(link) else { return id };
        self.release(id);
        new
    }

    /// One user less.
    pub fn release(&mut self, id: LastHopId) {
        let Some(hop) = self.hops.get_mut(id.place()) else { return };
        hop.users = hop.users.saturating_sub(1);
        if hop.users == 0 {
            self.ids.remove(&hop.link);
            self.free.push(id);
        }
    }
}

/// The way by this link. Through a port that nothing is known of everything fits.
fn way_to(link: &Link, port_mtus: &[u16]) -> Way {
    Way::by(link, port_mtus.get(usize::from(link.port.0)).copied().unwrap_or(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::{MemoryIo, PacketIo};

    fn link(host: u16) -> Link {
        let [high, low] = host.to_be_bytes();
        Link {
            port: PortId(1),
            source: EtherAddr([2, 0, 0, 0, 0, 1]),
            destination: EtherAddr([2, 0, 0, 1, high, low]),
            vlan: VlanTags::NONE,
        }
    }

    #[test]
    fn a_way_is_kept_once_and_until_its_last_user_goes() {
        let mut hops = LastHops::new(10);
        let first = hops.acquire(link(1)).unwrap();
        assert_eq!(hops.acquire(link(1)), Some(first));
        let second = hops.acquire(link(2)).unwrap();
        assert_ne!(first, second);
        hops.release(first);
        assert_eq!(hops.acquire(link(1)), Some(first));
        hops.release(first);
        hops.release(first);
        let third = hops.acquire(link(3)).unwrap();
        assert_eq!((third, hops.get(third).unwrap().link), (first, link(3)), "a free number is used again");
        assert_eq!(hops.get(second).unwrap().link, link(2));
    }

    #[test]
    fn there_are_not_too_many_and_none_takes_memory_later() {
        let mut hops = LastHops::new(usize::MAX);
        let room = |hops: &LastHops| (hops.hops.capacity(), hops.free.capacity(), hops.ids.allocation_size());
        let before = room(&hops);
        let ids: Vec<_> = (0..LastHops::MOST as u16).map(|host| hops.acquire(link(host)).unwrap()).collect();
        let other = link(u16::MAX);
        assert_eq!(hops.acquire(other), None);
        assert!(hops.acquire(link(7)).is_some(), "those that are there have room for users");
        ids.iter().for_each(|id| hops.release(*id));
        assert!(hops.acquire(other).is_some());
        assert_eq!(room(&hops), before);
    }

    #[test]
    fn a_frame_is_of_the_way_that_leads_back_to_its_sender() {
        let hop = Inbound::of(&link(5));
        let difference = |frame: &crate::io::Frame, vlan| hop.difference(frame, frame.port(), vlan);
        let mut io = MemoryIo::new(1, 1);
        let mut frame = io.allocate().unwrap();
        frame.write(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 1, 0, 5, 8, 0]).unwrap();
        frame.set_port(PortId(1));
        assert!(difference(&frame, VlanTags::NONE) == 0);
        frame.set_port(PortId(0));
        assert!(difference(&frame, VlanTags::NONE) != 0, "another port");
        frame.set_port(PortId(1));
        for byte in 0..ADDRESSES {
            frame[byte] ^= 1;
            assert!(difference(&frame, VlanTags::NONE) != 0, "address byte {byte}");
            frame[byte] ^= 1;
        }
        let mut tags = VlanTags::NONE;
        tags.push(crate::wire::VlanTag { tpid: crate::wire::EtherType::VLAN, tci: 5 });
        assert!(difference(&frame, tags) != 0, "another network");
        io.recycle(frame);
    }
}
