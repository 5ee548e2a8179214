//! The Toeplitz hash of receive-side scaling ("RSS Hashing Functions", Microsoft NDIS; every NIC's Toeplitz is this one).
//!
//! In: a key, and the bytes of a packet's fields one after the other. Out: 32 bits: the xor, over the bits that are set in
//! the input, of the 32 bits of the key that begin at the same place. So the hash of an input is the xor of the hashes of
//! its parts at their places, and a port that is tried costs two loads, whatever stands before it.
//!
//! Each (place, byte) has its word in a table made once per key: 1 KiB a byte of input, 12 KiB for IPv4 with ports and 36
//! for IPv6. A hash is one load a byte, all of them independent: 4 to 5 ns for IPv4, 10 to 17 for IPv6 on a busy machine.
//! (A carry-less multiplication does 64 bits at once, but needs another instruction set on each architecture and a plain
//! twin; only packets without a flow at hand are hashed, so it would not show.)

use std::fmt;

/// See the module.
pub struct Toeplitz {
    /// By place in the input: what each value of that byte adds.
    places: Box<[[u32; 256]]>,
}

impl Toeplitz {
    /// The most that is ever hashed: two IPv6 addresses and two ports.
    pub const LONGEST: usize = 2 * 16 + 2 * 2;

    /// The hash with this key. The longest input it is good for is four bytes shorter.
    pub fn new(key: &[u8]) -> Self {
        let places = key.array_windows::<5>().take(Self::LONGEST).map(place).collect();
        Self { places }
    }

    /// The longest input it can hash, in bytes.
    pub fn reach(&self) -> usize {
        self.places.len()
    }

    /// What `bytes` add to the hash, standing `from` bytes behind the beginning of the input. What is out of reach adds
    /// nothing.
    #[inline]
    pub fn part(&self, from: usize, bytes: &[u8]) -> u32 {
        let places = self.places.get(from..).unwrap_or_default();
        places.iter().zip(bytes).fold(0, |hash, (place, byte)| hash ^ place[usize::from(*byte)])
    }
}

/// The words of one place, whose bits see these five bytes of the key.
fn place(key: &[u8; 5]) -> [u32; 256] {
    let bits = key.iter().fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
    let mut words = [0; 256];
    for (byte, word) in words.iter_mut().enumerate() {
        // The first bit of the input is the highest one of its byte, and sees the key from its first bit on.
        *word =
            (0..8).filter(|bit| byte >> bit & 1 == 1).fold(0, |word, bit| word ^ (bits >> (bit + 1)) as u32);
    }
    words
}

impl fmt::Debug for Toeplitz {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Toeplitz").field("reach", &self.reach()).finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::IpAddr;

    /// The key of Microsoft's "Verifying the RSS Hash Calculation".
    pub(crate) const KEY: [u8; 40] = [
        0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0,
        0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42,
        0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
    ];

    /// From the same page: destination, source, hash of the addresses, hash with the ports.
    pub(crate) const VECTORS: [(&str, u16, &str, u16, u32, u32); 8] = [
        ("161.142.100.80", 1766, "66.9.149.187", 2794, 0x323e_8fc2, 0x51cc_c178),
        ("65.69.140.83", 4739, "199.92.111.2", 14230, 0xd718_262a, 0xc626_b0ea),
        ("12.22.207.184", 38024, "24.19.198.95", 12898, 0xd2d0_a5de, 0x5c2b_394a),
        ("209.142.163.6", 2217, "38.27.205.30", 48228, 0x8298_9176, 0xafc7_327f),
        ("202.188.127.2", 1303, "153.39.163.191", 44251, 0x5d18_09c5, 0x10e8_28a2),
        ("3ffe:2501:200:3::1", 1766, "3ffe:2501:200:1fff::7", 2794, 0x2cc1_8cd5, 0x4020_7d3d),
        ("ff02::1", 4739, "3ffe:501:8::260:97ff:fe40:efab", 14230, 0x0f0c_461c, 0xdde5_1bbf),
        (
            "fe80::200:f8ff:fe21:67cf",
            38024,
            "3ffe:1900:4545:3:200:f8ff:fe21:67cf",
            44251,
            0x4b61_e985,
            0x02d1_feef,
        ),
    ];

    fn octets(address: &str) -> Vec<u8> {
        match address.parse().unwrap() {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        }
    }

    #[test]
    fn the_published_vectors_hold() {
        let toeplitz = Toeplitz::new(&KEY);
        assert_eq!(toeplitz.reach(), Toeplitz::LONGEST);
        for (destination, destination_port, source, source_port, addresses, with_ports) in VECTORS {
            let mut input = [octets(source), octets(destination)].concat();
            assert_eq!(toeplitz.part(0, &input), addresses, "{source} -> {destination}");
            input.extend(source_port.to_be_bytes());
            input.extend(destination_port.to_be_bytes());
            assert_eq!(toeplitz.part(0, &input), with_ports, "{source} -> {destination}");
        }
    }

    /// As the definition has it, bit by bit.
    fn plain(key: &[u8], input: &[u8]) -> u32 {
        let bit = |bytes: &[u8], at: usize| bytes[at / 8] >> (7 - at % 8) & 1;
        let window = |at: usize| (at..at + 32).fold(0u32, |word, at| word << 1 | u32::from(bit(key, at)));
        (0..input.len() * 8).filter(|at| bit(input, *at) == 1).fold(0, |hash, at| hash ^ window(at))
    }

    proptest! {
        #[test]
        fn the_table_is_the_definition(
            key in prop::collection::vec(any::<u8>(), 40..60),
            input in prop::collection::vec(any::<u8>(), 0..=36),
            cut in 0usize..36,
        ) {
            let toeplitz = Toeplitz::new(&key);
            let hash = toeplitz.part(0, &input);
            prop_assert_eq!(hash, plain(&key, &input));
            let (head, tail) = input.split_at(cut.min(input.len()));
            prop_assert_eq!(toeplitz.part(0, head) ^ toeplitz.part(head.len(), tail), hash);
        }
    }

    #[test]
    fn a_short_key_reaches_less_far() {
        assert_eq!(Toeplitz::new(&KEY[..16]).reach(), 12);
        assert_eq!(Toeplitz::new(&KEY[..4]).reach(), 0);
        assert_eq!(Toeplitz::new(&[]).part(7, &[1]), 0);
    }
}
