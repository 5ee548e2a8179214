//! The ways back to clients ("auto last hop"): each link that the packets of flows came from, kept once.
//!
//! Clients come from a handful of routers, or from the hosts of one network, so a flow keeps two bytes instead of a
//! link. Each flow of a client is a user of its last hop; one without users is forgotten, and its number used again.
//!
//! In: links, as packets arrive. Out: numbers, and what they stand for. A hit costs one indexed load; a new flow a hash
//! look-up. Memory: about 180 bytes for each of at most [`LastHops::MOST`] hops, taken at the start.

use super::Way;
use crate::{
    io::PortId,
    table::Link,
    wire::{EtherAddr, VlanTags},
};
use hashbrown::{DefaultHashBuilder, HashMap};

/// The number of a last hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LastHopId(u16);

impl LastHopId {
    /// Its place among all of them: below [`LastHops::MOST`].
    #[inline]
    pub(crate) fn place(self) -> usize {
        usize::from(self.0)
    }
}

/// A way back to clients.
#[derive(Debug, Clone, Copy)]
pub struct LastHop {
    /// The way.
    pub link: Link,
    /// The link-layer addresses of frames that come this way, as they have them.
    arrival: [u8; ADDRESSES],
    users: u32,
}

/// Both addresses of an Ethernet header.
const ADDRESSES: usize = 2 * size_of::<EtherAddr>();

impl LastHop {
    fn new(link: Link) -> Self {
        let mut arrival = [0; ADDRESSES];
        let (to_us, from_there) = arrival.split_at_mut(size_of::<EtherAddr>());
        to_us.copy_from_slice(&link.source.0);
        from_there.copy_from_slice(&link.destination.0);
        Self { link, arrival, users: 0 }
    }

    /// Zero if a frame with these tags came this way. A number, and no branch: the answer is asked for in one of two
    /// directions only.
    #[inline(always)]
    pub fn difference(&self, frame: &[u8], port: PortId, vlan: VlanTags) -> u64 {
        let addresses = frame.first_chunk::<ADDRESSES>().is_none_or(|addresses| *addresses != self.arrival);
        u64::from(addresses) | vlan.difference(self.link.vlan) | u64::from(port.0 ^ self.link.port.0)
    }
}

/// See the module.
#[derive(Debug)]
pub struct LastHops {
    hops: Vec<LastHop>,
    ways: Vec<Way>,
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
            ways: Vec::with_capacity(most),
            free: Vec::with_capacity(most),
            // Twice the room it needs: then it never grows, whatever comes and goes.
            ids: HashMap::with_capacity_and_hasher(2 * most, DefaultHashBuilder::default()),
            most,
            latest: LastHopId::default(),
        }
    }

    /// All last hops by their [`place`](LastHopId::place)s, those without users too.
    #[inline]
    pub(crate) fn all(&self) -> &[LastHop] {
        &self.hops
    }

    /// The ways to them, by the same places. What fits there is not asked here.
    #[inline]
    pub(crate) fn ways(&self) -> &[Way] {
        &self.ways
    }

    /// The last hop with this number, which has a user.
    #[inline(always)]
    pub fn get(&self, id: LastHopId) -> Option<&LastHop> {
        self.hops.get(usize::from(id.0))
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
        self.hops[usize::from(id.0)].users += 1;
        Some(id)
    }

    fn add(&mut self, link: Link) -> Option<LastHopId> {
        let (hop, way) = (LastHop::new(link), Way::by(&link, u16::MAX));
        let id = match self.free.pop() {
            Some(id) => {
                self.hops[usize::from(id.0)] = hop;
                self.ways[usize::from(id.0)] = way;
                id
            }
            None if self.hops.len() < self.most => {
                self.hops.push(hop);
                self.ways.push(way);
                LastHopId((self.hops.len() - 1) as u16)
            }
            None => return None,
        };
        self.ids.insert(link, id);
        Some(id)
    }

    /// A user of `id` comes this way now. Where that cannot be kept, it stays with its old one.
    pub fn note(&mut self, id: &mut LastHopId, link: Link) {
        if self.get(*id).is_some_and(|hop| hop.link == link) {
            return;
        }
        if let Some(new) = self.acquire(link) {
            self.release(std::mem::replace(id, new));
        }
    }

    /// One user less.
    pub fn release(&mut self, id: LastHopId) {
        let Some(hop) = self.hops.get_mut(usize::from(id.0)) else { return };
        hop.users = hop.users.saturating_sub(1);
        if hop.users == 0 {
            self.ids.remove(&hop.link);
            self.free.push(id);
        }
    }
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
        let hop = LastHop::new(link(5));
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
