//! A conversation between a client and a backend through the gateway.

use super::*;
use crate::{
    state::FlowState,
    wire::{TcpFlags, VlanTags},
};

pub(crate) const SYN: TcpFlags = TcpFlags::SYN;
pub(crate) const SYN_ACK: TcpFlags = TcpFlags(TcpFlags::SYN.0 | TcpFlags::ACK.0);
pub(crate) const ACK: TcpFlags = TcpFlags::ACK;
pub(crate) const FIN_ACK: TcpFlags = TcpFlags(TcpFlags::FIN.0 | TcpFlags::ACK.0);
pub(crate) const RST: TcpFlags = TcpFlags::RST;
pub(crate) const NO_FLAGS: TcpFlags = TcpFlags(0);

/// Who talks, without the world: what [`World::resume`] goes on with.
#[derive(Debug, Clone)]
pub(crate) struct Speakers<F: Net> {
    /// The client's packets, as it sends them.
    pub(crate) original: Tuple<F>,
    /// The client's packets, as the backend has got them.
    pub(crate) at_backend: Option<Tuple<F>>,
    /// The backend that has got them.
    pub(crate) backend: usize,
    /// The client's link, as ours towards it.
    pub(crate) client_link: Link,
}

/// See the module.
pub(crate) struct Talk<'w, F: Net> {
    pub(crate) world: &'w mut World<F>,
    pub(crate) who: Speakers<F>,
    /// What was sent last.
    pub(crate) sent: Spec<F>,
    /// What became of it.
    pub(crate) outcome: Option<Outcome>,
}

use crate::table::Link;

impl<F: Net> World<F> {
    /// A client on its own address that speaks TCP from port 40000 with the load-balancer IP.
    pub(crate) fn client(&mut self, number: u32) -> Talk<'_, F> {
        let tuple = Tuple {
            source: F::addr(Network::Clients, number + 1),
            destination: F::addr(Network::Vips, LB_IP),
            source_port: 40_000,
            destination_port: SERVICE_PORT,
            transport: Transport::Tcp,
        };
        let sent = Spec::new(tuple, SYN);
        let who = Speakers { original: tuple, at_backend: None, backend: 0, client_link: sent.link };
        Talk { world: self, who, sent, outcome: None }
    }

    /// Goes on with a conversation.
    pub(crate) fn resume(&mut self, who: &Speakers<F>) -> Talk<'_, F> {
        Talk { world: self, sent: Spec::new(who.original, NO_FLAGS), who: who.clone(), outcome: None }
    }
}

impl<'w, F: Net> Talk<'w, F> {
    pub(crate) fn from(mut self, source: F::Addr, port: u16) -> Self {
        (self.who.original.source, self.who.original.source_port) = (source, port);
        self
    }

    pub(crate) fn source_port(mut self, port: u16) -> Self {
        self.who.original.source_port = port;
        self
    }

    pub(crate) fn to(mut self, destination: F::Addr, port: u16) -> Self {
        (self.who.original.destination, self.who.original.destination_port) = (destination, port);
        self
    }

    pub(crate) fn vip(self, host: u32) -> Self {
        self.to(F::addr(Network::Vips, host), SERVICE_PORT)
    }

    pub(crate) fn node_port(self) -> Self {
        self.to(F::addr(Network::Node, NODE), NODE_PORT)
    }

    pub(crate) fn udp(mut self) -> Self {
        self.who.original.transport = Transport::Udp;
        self
    }

    pub(crate) fn sctp(mut self) -> Self {
        self.who.original.transport = Transport::Sctp;
        self
    }

    /// The client sends a chunk of this type.
    pub(crate) fn chunk(self, kind: u8) -> Self {
        self.send_with(NO_FLAGS, |packet| set_chunk(packet, kind))
    }

    /// The backend answers by a chunk of this type.
    pub(crate) fn reply_chunk(self, kind: u8) -> Self {
        self.reply_with(NO_FLAGS, |packet| set_chunk(packet, kind))
    }

    pub(crate) fn over(mut self, link: Link) -> Self {
        self.who.client_link = link;
        self
    }

    pub(crate) fn tagged(mut self, vlan: VlanTags) -> Self {
        self.who.client_link.vlan = vlan;
        self
    }

    /// Who talks, to go on later.
    pub(crate) fn who(self) -> Speakers<F> {
        self.who
    }

    /// The client sends a segment.
    pub(crate) fn send(self, flags: TcpFlags) -> Self {
        self.send_with(flags, |_| {})
    }

    pub(crate) fn syn(self) -> Self {
        self.send(SYN)
    }

    /// The client sends a datagram.
    pub(crate) fn datagram(self) -> Self {
        self.udp().send_with(NO_FLAGS, |packet| packet.payload = b"question".to_vec())
    }

    /// The client sends a packet that `change` has made special.
    pub(crate) fn send_with(self, flags: TcpFlags, change: impl FnOnce(&mut Spec<F>)) -> Self {
        let mut packet = Spec::new(self.who.original, flags);
        packet.link = self.who.client_link;
        self.transmit(packet, change)
    }

    /// The backend sends a segment (or a datagram) back to where the client's packets seem to come from.
    pub(crate) fn reply(self, flags: TcpFlags) -> Self {
        self.reply_with(flags, |_| {})
    }

    pub(crate) fn reply_with(self, flags: TcpFlags, change: impl FnOnce(&mut Spec<F>)) -> Self {
        let at_backend = self.who.at_backend.expect("a packet has arrived at a backend");
        let mut packet = Spec::new(at_backend.reversed(), flags);
        packet.link = backend_link(self.who.backend);
        packet.seq = if flags.syn() { 5000 } else { 5001 };
        packet.ack = 1001;
        self.transmit(packet, change)
    }

    fn transmit(mut self, mut packet: Spec<F>, change: impl FnOnce(&mut Spec<F>)) -> Self {
        change(&mut packet);
        self.outcome = Some(self.world.send(packet.link.port, &packet.bytes()));
        self.sent = packet;
        self
    }

    pub(crate) fn outcome(&self) -> &Outcome {
        self.outcome.as_ref().expect("something was sent")
    }

    pub(crate) fn seen(&self) -> Seen {
        self.outcome().seen()
    }

    /// The packet has arrived at this backend, whole.
    #[track_caller]
    pub(crate) fn expect_at(self, backend: usize) -> Self {
        let talk = self.expect_at_backend();
        assert_eq!(talk.who.backend, backend, "the backend");
        talk
    }

    /// The packet has arrived at some backend, whole.
    #[track_caller]
    pub(crate) fn expect_at_backend(mut self) -> Self {
        let seen = self.expect_forwarded(BACKEND_PORT);
        let backend = (0..16).find(|number| F::to_ip(backend_addr::<F>(*number)) == seen.ip.destination);
        let backend = backend.expect("the destination is a backend");
        assert_eq!((seen.to, seen.from), (backend_mac(backend), our_mac(BACKEND_PORT)));
        let tuple = seen.ip.tuple::<F>();
        assert_eq!(tuple.destination_port, BACKEND_SERVICE_PORT);
        self.who.at_backend = Some(tuple);
        self.who.backend = backend;
        self
    }

    /// The packet has arrived at the client, whole, as an answer of whom it has spoken to.
    #[track_caller]
    pub(crate) fn expect_at_client(self) -> Self {
        let link = self.who.client_link;
        let seen = self.expect_forwarded(link.port);
        assert_eq!(seen.ip.tuple::<F>(), self.who.original.reversed(), "the answer's tuple");
        assert_eq!((seen.to, seen.from), (link.destination, link.source), "the way back");
        let tags: Vec<_> = link.vlan.iter().map(|tag| (tag.tpid.0, tag.tci)).collect();
        assert_eq!(seen.tags, tags, "the tags back");
        self
    }

    #[track_caller]
    fn expect_forwarded(&self, port: PortId) -> Seen {
        assert_eq!(self.outcome().verdict, Verdict::Forward(port));
        let seen = self.seen();
        assert_eq!(seen.port, port);
        assert_eq!(seen.ip.hop_limit, self.sent.hop_limit - 1, "one hop less");
        assert_eq!(seen.ip.payload(), self.sent.payload, "the payload");
        if self.sent.tuple.transport == Transport::Tcp {
            let tcp = (seen.ip.flags(), seen.ip.seq(), seen.ip.ack());
            assert_eq!(tcp, (self.sent.flags, self.sent.seq, self.sent.ack), "flags and numbers");
        }
        seen
    }

    #[track_caller]
    pub(crate) fn expect_drop(self, reason: DropReason) -> Self {
        assert_eq!(self.outcome().verdict, Verdict::Drop(reason));
        self
    }

    /// The packet is the kernel's, and just as it was sent.
    #[track_caller]
    pub(crate) fn expect_pass(self) -> Self {
        assert_eq!(self.outcome().verdict, Verdict::Pass);
        let (port, frame) = self.outcome().frame.clone().expect("the frame is whole");
        assert_eq!((port, frame), (self.sent.link.port, self.sent.bytes()));
        self
    }

    /// The sender has got an answer of ours over its own link, from whom it has spoken to.
    #[track_caller]
    pub(crate) fn expect_answer(&self, kind: ReplyKind) -> Seen {
        let link = self.sent.link;
        assert_eq!(self.outcome().verdict, Verdict::Reply(link.port, kind));
        let seen = self.seen();
        assert_eq!((seen.to, seen.from), (link.destination, link.source), "the way back");
        assert_eq!(seen.ip.source, F::to_ip(self.sent.tuple.destination));
        assert_eq!(seen.ip.destination, F::to_ip(self.sent.tuple.source));
        assert_eq!(seen.ip.hop_limit, 64);
        seen
    }

    /// The sender has got an ICMP error of ours that quotes what it sent.
    #[track_caller]
    pub(crate) fn expect_icmp(self, reply: ReplyKind, kind: IcmpErrorKind) -> Self {
        let seen = self.expect_answer(reply);
        assert_eq!(seen.ip.icmp_numbers(), kind.numbers::<F>());
        let (sent, quoted) = (self.sent.ip(), seen.ip.quoted());
        assert!(sent.starts_with(quoted), "the quotation is what was sent");
        let most = if F::ADDR_LEN == 4 { 576 } else { 1280 };
        assert_eq!(quoted.len(), sent.len().min(most - F::MIN_HEADER - 8));
        self
    }

    #[track_caller]
    pub(crate) fn expect_reset(self) -> Self {
        let seen = self.expect_answer(ReplyKind::Reset);
        assert_eq!(seen.ip.tuple::<F>(), self.sent.tuple.reversed());
        let expected = if self.sent.flags.ack() {
            (RST, self.sent.ack, 0)
        } else {
            let len = u32::from(self.sent.flags.syn()) + u32::from(self.sent.flags.fin());
            let ack = self.sent.seq.wrapping_add(len + self.sent.payload.len() as u32);
            (TcpFlags::RST | TcpFlags::ACK, 0, ack)
        };
        assert_eq!((seen.ip.flags(), seen.ip.seq(), seen.ip.ack()), expected, "flags, SEQ and ACK");
        assert!(seen.ip.payload().is_empty());
        self
    }

    /// The backend sees the client's own address and port.
    #[track_caller]
    pub(crate) fn expect_client_kept(self) -> Self {
        let seen = self.who.at_backend.expect("a packet has arrived at a backend");
        assert_eq!(seen.source, self.who.original.source, "the source the backend sees");
        assert_eq!(seen.source_port, self.who.original.source_port);
        self
    }

    /// The backend sees the gateway.
    #[track_caller]
    pub(crate) fn expect_masqueraded(self) -> Self {
        let seen = self.who.at_backend.expect("a packet has arrived at a backend");
        assert_eq!(seen.source, F::addr(Network::Node, NODE), "the source the backend sees");
        let ports = &self.world.workers[self.outcome().worker].config().steering.ports;
        assert!(ports.owner(seen.source_port).is_some(), "port {} is a SNAT port", seen.source_port);
        self
    }

    #[track_caller]
    pub(crate) fn moved(self, expected: &str) -> Self {
        self.world.moved(expected);
        self
    }

    #[track_caller]
    pub(crate) fn expect_state(self, state: FlowState) -> Self {
        let flow = self.world.flow(&self.who.original).expect("a flow");
        assert_eq!(flow.state.get(), state);
        self
    }

    #[track_caller]
    pub(crate) fn expect_no_flow(self) -> Self {
        assert!(self.world.flow(&self.who.original).is_none(), "there is a flow");
        self
    }

    /// TCP's three packets.
    #[track_caller]
    pub(crate) fn connect(self) -> Self {
        self.syn()
            .expect_at_backend()
            .reply(SYN_ACK)
            .expect_at_client()
            .send(ACK)
            .expect_at_backend()
            .expect_state(FlowState::Tcp(crate::state::TcpState::Established))
    }

    /// An ICMP error about the packet of the client that the backend has got, sent by a router on the way there.
    pub(crate) fn icmp_from_backend_side(&mut self, kind: IcmpErrorKind, router: F::Addr) -> Outcome {
        let at_backend = self.who.at_backend.expect("a packet has arrived at a backend");
        let mut quoted = Spec::new(at_backend, ACK);
        quoted.payload = b"question".to_vec();
        let error = icmp_error::<F>(kind, router, at_backend.source, &quoted.ip());
        let frame = frame(&backend_link(self.who.backend), F::ETHER_TYPE.0, &error);
        self.world.send(BACKEND_PORT, &frame)
    }

    /// An ICMP error about an answer that the client has got, sent by a router on the way there.
    pub(crate) fn icmp_from_client_side(&mut self, kind: IcmpErrorKind, router: F::Addr) -> Outcome {
        let answer = self.who.original.reversed();
        let mut quoted = Spec::new(answer, ACK);
        quoted.payload = b"answer".to_vec();
        let error = icmp_error::<F>(kind, router, answer.source, &quoted.ip());
        let frame = frame(&self.who.client_link, F::ETHER_TYPE.0, &error);
        self.world.send(self.who.client_link.port, &frame)
    }
}

fn set_chunk<F: Net>(packet: &mut Spec<F>, kind: u8) {
    packet.payload = vec![kind, 0, 0, 8, 1, 2, 3, kind];
    packet.seq = if kind == crate::wire::SctpChunk::INIT { 0 } else { 0x0dd0_7a65 };
}

/// The address of a backend.
pub(crate) fn backend_addr<F: Net>(number: usize) -> F::Addr {
    backend::<F>(Transport::Tcp, number).addr
}
