//! Translation by deltas against building the translated packet anew.

use proptest::prelude::*;

use super::*;

/// Where a packet is sent from and to.
#[derive(Clone, Copy, Debug)]
struct Tuple<A> {
    source: A,
    destination: A,
    ports: (u16, u16),
}

impl<A: Copy + Into<IpAddr>> Tuple<A> {
    fn build(&self, tcp: bool, payload: &[u8]) -> Vec<u8> {
        let ip = PacketBuilder::ip(ip_headers(self.source.into(), self.destination.into()));
        if tcp {
            bytes!(ip.tcp(self.ports.0, self.ports.1, 1, 2), payload)
        } else {
            bytes!(ip.udp(self.ports.0, self.ports.1), payload)
        }
    }
}

/// What a flow would cache: the change of the header's sum, and that of the upper layer's.
fn deltas<F: Family>(old: Tuple<F::Addr>, new: Tuple<F::Addr>) -> (Delta, Delta) {
    let addresses = |tuple: Tuple<F::Addr>| F::addr_sum(tuple.source).plus(F::addr_sum(tuple.destination));
    let ports = |tuple: Tuple<F::Addr>| Sum::zero().add_u16_be(tuple.ports.0).add_u16_be(tuple.ports.1);
    let header = Delta::between(addresses(old), addresses(new));
    (header, header.plus(Delta::between(ports(old), ports(new))))
}

fn translate<F: Family>(bytes: &mut [u8], old: Tuple<F::Addr>, new: Tuple<F::Addr>, tcp: bool) {
    let at = usize::from(F::parse(bytes).unwrap().header_len);
    let (header, upper) = deltas::<F>(old, new);
    F::set_source(bytes, new.source);
    F::set_destination(bytes, new.destination);
    F::apply_header_delta(bytes, header);
    let l4 = &mut bytes[at..];
    set_ports(l4, new.ports.0, new.ports.1);
    if tcp { Tcp::apply_checksum(l4, upper) } else { Udp::apply_checksum(l4, upper) }
}

fn is_valid<F: Family>(bytes: &[u8], tcp: bool) -> bool {
    let network = F::parse(bytes).unwrap();
    let l4 = network.upper_layer(bytes);
    let sum =
        F::pseudo_header_sum(F::source(bytes), F::destination(bytes), network.protocol, l4.len() as u32);
    if tcp {
        Tcp::parse(l4).unwrap().checksum_is_valid(sum)
    } else {
        Udp::parse(l4).unwrap().checksum_is_valid(sum)
    }
}

/// Translated by deltas, the packet is what would have been built for the new tuple; translated back, what it was.
fn check_translation<F: Family>(old: Tuple<F::Addr>, new: Tuple<F::Addr>, tcp: bool, payload: &[u8]) {
    let original = old.build(tcp, payload);
    let mut bytes = original.clone();
    translate::<F>(&mut bytes, old, new, tcp);
    assert_eq!(bytes, new.build(tcp, payload));
    translate::<F>(&mut bytes, new, old, tcp);
    assert_eq!(bytes, original);
}

/// One flipped byte of the payload, and the checksum still tells after translation.
fn check_corruption<F: Family>(
    old: Tuple<F::Addr>,
    new: Tuple<F::Addr>,
    tcp: bool,
    payload: &[u8],
    flip: (usize, u8),
) {
    let mut bytes = old.build(tcp, payload);
    let at = bytes.len() - 1 - flip.0 % payload.len();
    bytes[at] ^= flip.1;
    assert!(!is_valid::<F>(&bytes, tcp));
    translate::<F>(&mut bytes, old, new, tcp);
    assert!(!is_valid::<F>(&bytes, tcp));
    bytes[at] ^= flip.1;
    assert!(is_valid::<F>(&bytes, tcp), "and it is the only defect");
}

fn tuple<A: std::fmt::Debug, const N: usize>() -> impl Strategy<Value = Tuple<A>>
where
    [u8; N]: Arbitrary + Into<A>,
{
    any::<([u8; N], [u8; N], (u16, u16))>().prop_map(|(source, destination, ports)| Tuple {
        source: source.into(),
        destination: destination.into(),
        ports,
    })
}

proptest! {
    #[test]
    fn deltas_translate_v4(
        old in tuple::<_, 4>(), new in tuple::<_, 4>(), tcp: bool,
        payload in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        check_translation::<V4>(old, new, tcp, &payload);
    }

    #[test]
    fn deltas_translate_v6(
        old in tuple::<_, 16>(), new in tuple::<_, 16>(), tcp: bool,
        payload in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        check_translation::<V6>(old, new, tcp, &payload);
    }

    #[test]
    // S-201
    fn corrupt_payload_stays_corrupt(
        (old, new) in (tuple::<_, 4>(), tuple::<_, 4>()),
        (old_v6, new_v6) in (tuple::<_, 16>(), tuple::<_, 16>()),
        tcp: bool,
        payload in prop::collection::vec(any::<u8>(), 1..80),
        flip in (0usize..80, 1u8..),
    ) {
        check_corruption::<V4>(old, new, tcp, &payload, flip);
        check_corruption::<V6>(old_v6, new_v6, tcp, &payload, flip);
    }
}

both_families! {
    /// The last two bytes of the payload take all values, so the checksum does too, 0 included.
    fn every_checksum_is_translated<F>() {
        let old = Tuple { source: F::client(), destination: F::vip(), ports: (40000, 80) };
        let new = Tuple { source: F::vip(), destination: F::address(F::BACKEND), ports: (61000, 8080) };
        for word in 0..=u16::MAX {
            check_translation::<F>(old, new, word % 2 == 0, &word.to_be_bytes());
            check_translation::<F>(old, new, word % 2 != 0, &word.to_be_bytes());
        }
    }
}
