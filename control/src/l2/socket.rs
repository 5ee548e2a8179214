//! Packet sockets for ARP and neighbour discovery on one interface, and the multicast groups it listens to (packet(7)).
//!
//! Each socket hears one protocol only, and the one for IPv6 has a filter in the kernel, so other traffic costs nothing
//! but its few instructions. A socket belongs to the network namespace of the thread that opens it.
//! Limits: frames without extension headers before ICMPv6, which neighbour discovery does not use (RFC 6980).

use super::frame::ALL_NODES;
use nix::sys::socket::{LinkAddr, recvfrom, setsockopt, sockopt};
use penstock_dataplane::wire::EtherAddr;
use socket2::{Domain, SockAddr, SockAddrStorage, SockFilter, Socket, Type};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::Ipv6Addr,
    os::fd::AsRawFd,
};
use tokio::io::unix::AsyncFd;

/// The answers to questions about many addresses come at once.
const BUFFER_BYTES: usize = 4 << 20;

/// What a socket hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    /// ARP.
    Arp,
    /// Neighbour solicitations and advertisements.
    Nd,
}

/// Opens a socket on the interface with this index. Nothing is heard before it is complete.
pub(super) fn open(protocol: Protocol, index: u32) -> io::Result<AsyncFd<Socket>> {
    let socket = Socket::new(Domain::PACKET, Type::RAW.nonblocking().cloexec(), None)?;
    // The forced size needs CAP_NET_ADMIN; without it the usual limit must do.
    if setsockopt(&socket, sockopt::RcvBufForce, &BUFFER_BYTES).is_err()
        && let Err(error) = socket.set_recv_buffer_size(BUFFER_BYTES)
    {
        tracing::debug!(%error, "a packet socket keeps its default buffer");
    }
    let ether_type = match protocol {
        Protocol::Arp => libc::ETH_P_ARP,
        Protocol::Nd => {
            socket.attach_filter(&neighbour_discovery())?;
            libc::ETH_P_IPV6
        }
    };
    socket.bind(&link_address(ether_type as u16, index))?;
    watched(socket)
}

#[expect(unsafe_code, reason = "tokio wants it promised that the descriptor stays the same")]
fn watched(socket: Socket) -> io::Result<AsyncFd<Socket>> {
    // SAFETY: a Socket owns its descriptor, and has the same one until it is dropped, after the AsyncFd that owns it.
    let watched = unsafe { AsyncFd::register(socket) };
    Ok(watched?)
}

/// Accepts ICMPv6 of types 135 and 136 with hop limit 255, by their places in an Ethernet frame.
fn neighbour_discovery() -> [SockFilter; 9] {
    const NEXT_HEADER: u32 = 14 + 6;
    const HOP_LIMIT: u32 = 14 + 7;
    const TYPE: u32 = 14 + 40;
    let load = |at| SockFilter::new((libc::BPF_LD | libc::BPF_B | libc::BPF_ABS) as u16, 0, 0, at);
    let is = |value, yes, no| {
        SockFilter::new((libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16, yes, no, value)
    };
    let accept = |bytes| SockFilter::new((libc::BPF_RET | libc::BPF_K) as u16, 0, 0, bytes);
    [
        load(NEXT_HEADER),
        is(58, 0, 5),
        load(HOP_LIMIT),
        is(255, 0, 3),
        load(TYPE),
        is(135, 2, 0),
        is(136, 1, 0),
        accept(0),
        accept(u32::MAX),
    ]
}

#[expect(unsafe_code, reason = "no crate makes the address of a packet socket")]
fn link_address(ether_type: u16, index: u32) -> SockAddr {
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: a storage has room for the address of every family.
    let address: &mut libc::sockaddr_ll = unsafe { storage.view_as() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = ether_type.to_be();
    address.sll_ifindex = index.cast_signed();
    // SAFETY: the storage holds a sockaddr_ll, whose family and length these are.
    unsafe { SockAddr::new(storage, size_of::<libc::sockaddr_ll>() as u32) }
}

/// Receives a frame that came to this host; `None` for one of others, or of ours.
pub(super) fn receive(socket: &Socket, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    let (length, from) = recvfrom::<LinkAddr>(socket.as_raw_fd(), buffer)?;
    let kind = from.map(|from| from.pkttype());
    let is_ours = kind.is_some_and(|kind| {
        // A frame of a VLAN that this host has no interface for counts as somebody else's, too.
        [libc::PACKET_HOST, libc::PACKET_BROADCAST, libc::PACKET_MULTICAST].contains(&kind)
    });
    Ok(is_ours.then_some(length))
}

/// The groups that an interface listens to: by the packet socket, so that the card lets them in even where the kernel has
/// no IPv6; and by sockets of the kernel's IPv6, so that it reports them to switches that want to know (MLD).
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// The joined, each with the reporting socket that has it, if one does.
    joined: BTreeMap<Ipv6Addr, Option<usize>>,
    /// The kernel limits how many groups one socket has.
    reporting: Vec<Socket>,
}

impl Groups {
    /// Joins and leaves, so that these are the groups. Those that cannot be had are told of.
    pub(super) fn set(&mut self, packet: &Socket, index: u32, groups: &BTreeSet<Ipv6Addr>) -> Vec<io::Error> {
        let mut errors = Vec::new();
        let left: Vec<_> = self.joined.keys().filter(|group| !groups.contains(group)).copied().collect();
        for group in left {
            errors.extend(membership(packet, index, group, false).err());
            if let Some(Some(at)) = self.joined.remove(&group)
                && let Some(socket) = self.reporting.get(at)
            {
                errors.extend(socket.leave_multicast_v6(&group, index).err());
            }
        }
        for group in groups {
            if self.joined.contains_key(group) {
                continue;
            }
            if let Err(error) = membership(packet, index, *group, true) {
                // Without it nothing is heard: tried again at the next change.
                errors.push(error);
                continue;
            }
            let reported = self.report(index, group).map_err(|error| errors.push(error)).ok();
            self.joined.insert(*group, reported);
        }
        errors
    }

    fn report(&mut self, index: u32, group: &Ipv6Addr) -> io::Result<usize> {
        if let Some(last) = self.reporting.last() {
            match last.join_multicast_v6(group, index) {
                Ok(()) => return Ok(self.reporting.len() - 1),
                Err(error) if matches!(error.raw_os_error(), Some(libc::ENOBUFS | libc::ENOMEM)) => {}
                Err(error) => return Err(error),
            }
        }
        let socket = Socket::new(Domain::IPV6, Type::DGRAM.cloexec(), None)?;
        socket.join_multicast_v6(group, index)?;
        self.reporting.push(socket);
        Ok(self.reporting.len() - 1)
    }
}

/// Lets the frames to a group in, or no longer.
#[expect(unsafe_code, reason = "no crate has the memberships of packet sockets")]
fn membership(packet: &Socket, index: u32, group: Ipv6Addr, join: bool) -> io::Result<()> {
    let EtherAddr(mac) = EtherAddr::of_multicast(group);
    let mut request = libc::packet_mreq {
        mr_ifindex: index.cast_signed(),
        mr_type: libc::PACKET_MR_MULTICAST as u16,
        mr_alen: mac.len() as u16,
        mr_address: [0; 8],
    };
    request.mr_address[..mac.len()].copy_from_slice(&mac);
    let option = if join { libc::PACKET_ADD_MEMBERSHIP } else { libc::PACKET_DROP_MEMBERSHIP };
    // SAFETY: pointer and length describe `request`, which outlives the call.
    let result = unsafe {
        libc::setsockopt(
            packet.as_raw_fd(),
            libc::SOL_PACKET,
            option,
            (&raw const request).cast(),
            size_of::<libc::packet_mreq>() as u32,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Lets advertisements to all nodes in, which the kernel does by itself only where it has IPv6.
pub(super) fn hear_all_nodes(packet: &Socket, index: u32) -> io::Result<()> {
    membership(packet, index, ALL_NODES, true)
}
