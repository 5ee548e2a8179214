//! A network that misbehaves on purpose, by a seed: a wrapper over any [`PacketIo`].
//!
//! On the way in, packets are dropped, doubled, delivered late, cut and corrupted; on the way out the transmit ring
//! is full; and there are no free frames. The same seed over the same packets does the same. Frames held back for
//! later count as receiving, so that the accounts are exact; the counters say what was delivered, not what the
//! network inside received.

use std::collections::VecDeque;
use std::mem;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use super::{Frame, FrameAccounts, FrameBatch, PacketIo, PortCounters, PortId};

/// How likely each fault is, from 0 (never, the default) to 1.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct FaultPlan {
    /// Where the choices start from.
    pub seed: u64,
    /// A received packet is lost.
    pub drop: f64,
    /// A received packet comes twice.
    pub duplicate: f64,
    /// A received packet comes after those of the next batch.
    pub reorder: f64,
    /// A bit of a received packet is flipped.
    pub corrupt: f64,
    /// A received packet loses its end, or all of it.
    pub truncate: f64,
    /// A packet to be sent finds the transmit ring full.
    pub transmit_full: f64,
    /// There is no free frame.
    pub allocate_fails: f64,
}

impl FaultPlan {
    /// Every fault equally likely.
    pub fn everything(seed: u64, chance: f64) -> FaultPlan {
        FaultPlan {
            seed,
            drop: chance,
            duplicate: chance,
            reorder: chance,
            corrupt: chance,
            truncate: chance,
            transmit_full: chance,
            allocate_fails: chance,
        }
    }
}

/// How often each fault happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FaultCounts {
    /// Packets lost.
    pub dropped: u64,
    /// Packets that came twice. Where there was no frame for the copy, they came once and are not counted.
    pub duplicated: u64,
    /// Packets that came late.
    pub reordered: u64,
    /// Packets with a bit flipped.
    pub corrupted: u64,
    /// Packets cut.
    pub truncated: u64,
    /// Packets that found the transmit ring full.
    pub transmit_full: u64,
    /// Frames that were not to be had.
    pub allocate_failed: u64,
}

/// A [`PacketIo`] with faults.
#[derive(Debug)]
pub struct FaultyIo<I: PacketIo> {
    inner: I,
    plan: FaultPlan,
    dice: Dice,
    counts: FaultCounts,
    /// Ready to be delivered.
    ready: VecDeque<Frame>,
    /// To be delivered after the next batch.
    late: Vec<Frame>,
    /// What was delivered, and what was not sent.
    counters: Box<[PortCounters; 256]>,
}

impl<I: PacketIo> FaultyIo<I> {
    /// Faults over `inner`.
    pub fn new(inner: I, plan: FaultPlan) -> FaultyIo<I> {
        FaultyIo {
            inner,
            plan,
            dice: Dice(plan.seed),
            counts: FaultCounts::default(),
            ready: VecDeque::new(),
            late: Vec::new(),
            counters: Box::new([PortCounters::default(); 256]),
        }
    }

    /// The faults so far.
    pub fn faults(&self) -> FaultCounts {
        self.counts
    }

    /// The network inside, to put packets in and take them out.
    pub fn inner(&mut self) -> &mut I {
        &mut self.inner
    }

    /// Receives a batch from inside and lets things happen to it.
    fn pull(&mut self) {
        let late = mem::take(&mut self.late);
        let mut arrived = FrameBatch::new();
        self.inner.receive(&mut arrived);
        for frame in arrived {
            self.befall(frame);
        }
        self.ready.extend(late);
    }

    fn befall(&mut self, mut frame: Frame) {
        if self.dice.hits(self.plan.drop) {
            self.counts.dropped += 1;
            self.inner.recycle(frame);
            return;
        }
        if self.dice.hits(self.plan.duplicate)
            && let Some(copy) = self.copy(&frame)
        {
            self.counts.duplicated += 1;
            self.ready.push_back(copy);
        }
        if self.dice.hits(self.plan.corrupt) && !frame.is_empty() {
            self.counts.corrupted += 1;
            let place = self.dice.below(frame.len());
            frame[place] ^= 1 << self.dice.below(8);
        }
        if self.dice.hits(self.plan.truncate) && !frame.is_empty() {
            self.counts.truncated += 1;
            let len = self.dice.below(frame.len());
            let shortened = frame.resize(len);
            debug_assert!(shortened.is_ok());
        }
        if self.dice.hits(self.plan.reorder) {
            self.counts.reordered += 1;
            self.late.push(frame);
        } else {
            self.ready.push_back(frame);
        }
    }

    fn copy(&mut self, frame: &Frame) -> Option<Frame> {
        let mut copy = self.inner.allocate()?;
        copy.set_port(frame.port());
        if copy.write(frame).is_err() {
            self.inner.recycle(copy);
            return None;
        }
        Some(copy)
    }

    fn held(&self) -> usize {
        self.ready.len() + self.late.len()
    }
}

impl<I: PacketIo> PacketIo for FaultyIo<I> {
    fn receive(&mut self, batch: &mut FrameBatch) -> usize {
        let before = batch.len();
        if self.ready.len() < batch.remaining_capacity() {
            self.pull();
        }
        while !batch.is_full() {
            let Some(frame) = self.ready.pop_front() else { break };
            let counters = &mut self.counters[usize::from(frame.port().0)];
            counters.rx_packets += 1;
            counters.rx_bytes += frame.len() as u64;
            batch.push(frame);
        }
        batch.len() - before
    }

    fn transmit(&mut self, port: PortId, frame: Frame) {
        if self.dice.hits(self.plan.transmit_full) {
            self.counts.transmit_full += 1;
            self.counters[usize::from(port.0)].tx_dropped += 1;
            self.inner.recycle(frame);
        } else {
            self.inner.transmit(port, frame);
        }
    }

    fn flush(&mut self) {
        self.inner.flush();
    }

    fn allocate(&mut self) -> Option<Frame> {
        if self.dice.hits(self.plan.allocate_fails) {
            self.counts.allocate_failed += 1;
            return None;
        }
        self.inner.allocate()
    }

    fn recycle(&mut self, frame: Frame) {
        self.inner.recycle(frame);
    }

    fn wait(&mut self, timeout: Duration, wake: Option<BorrowedFd<'_>>) {
        if self.held() == 0 {
            self.inner.wait(timeout, wake);
        }
    }

    fn accounts(&self) -> FrameAccounts {
        let inner = self.inner.accounts();
        FrameAccounts {
            receiving: inner.receiving + self.held(),
            outstanding: inner.outstanding - self.held(),
            ..inner
        }
    }

    fn counters(&self, port: PortId) -> PortCounters {
        let (inner, own) = (self.inner.counters(port), self.counters[usize::from(port.0)]);
        PortCounters {
            rx_packets: own.rx_packets,
            rx_bytes: own.rx_bytes,
            tx_dropped: inner.tx_dropped + own.tx_dropped,
            ..inner
        }
    }
}

impl<I: PacketIo> Drop for FaultyIo<I> {
    fn drop(&mut self) {
        for frame in self.ready.drain(..).chain(self.late.drain(..)) {
            self.inner.recycle(frame);
        }
    }
}

/// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// True with this chance.
    fn hits(&mut self, chance: f64) -> bool {
        // The same number of throws whatever the plan, so that changing one chance leaves the rest as it was.
        let throw = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        throw < chance
    }

    /// A number below `limit`, which is not zero.
    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::MemoryIo;
    use proptest::prelude::*;

    const PORT: PortId = PortId(0);

    /// Sends `count` packets through and returns those that come out on the other side.
    fn pass(io: &mut FaultyIo<MemoryIo>, count: u8) -> Vec<Vec<u8>> {
        for number in 0..count {
            io.inner().inject(PORT, &[number; 60]).unwrap();
            let mut batch = FrameBatch::new();
            io.receive(&mut batch);
            batch.into_iter().for_each(|frame| io.transmit(PORT, frame));
        }
        let mut batch = FrameBatch::new();
        while io.accounts().receiving > 0 {
            io.receive(&mut batch);
            batch.drain(..).for_each(|frame| io.transmit(PORT, frame));
        }
        io.flush();
        io.inner().sent(PORT)
    }

    fn faulty(plan: FaultPlan) -> FaultyIo<MemoryIo> {
        FaultyIo::new(MemoryIo::new(1, 512), plan)
    }

    #[test]
    fn without_faults_nothing_happens() {
        let mut io = faulty(FaultPlan::default());
        assert_eq!(pass(&mut io, 100), (0..100).map(|number| vec![number; 60]).collect::<Vec<_>>());
        assert_eq!(io.faults(), FaultCounts::default());
    }

    #[test]
    fn each_fault_does_what_it_says() {
        let plan = FaultPlan { seed: 1, ..FaultPlan::default() };
        assert!(pass(&mut faulty(FaultPlan { drop: 1.0, ..plan }), 9).is_empty());
        assert_eq!(pass(&mut faulty(FaultPlan { duplicate: 1.0, ..plan }), 9).len(), 18);

        let late = pass(&mut faulty(FaultPlan { reorder: 0.5, ..plan }), 100);
        assert!(!late.is_sorted());
        assert_eq!(late.len(), 100);

        let bits: u32 =
            pass(&mut faulty(FaultPlan { corrupt: 1.0, ..plan }), 1)[0].iter().map(|b| b.count_ones()).sum();
        assert_eq!(bits, 1, "the packet was all zeroes");

        let short = pass(&mut faulty(FaultPlan { truncate: 1.0, ..plan }), 9);
        assert!(short.len() == 9 && short.iter().all(|packet| packet.len() < 60));

        let mut full = faulty(FaultPlan { transmit_full: 1.0, ..plan });
        assert!(pass(&mut full, 9).is_empty());
        assert_eq!(full.counters(PORT).tx_dropped, 9);

        let mut none = faulty(FaultPlan { allocate_fails: 1.0, ..plan });
        assert!(none.allocate().is_none());
        assert_eq!(none.faults().allocate_failed, 1);
    }

    #[test]
    fn a_seed_decides_everything() {
        let run = |seed| pass(&mut faulty(FaultPlan::everything(seed, 0.2)), 200);
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
    }

    proptest! {
        #[test]
        fn accounts_and_counters_balance(seed in any::<u64>(), chance in 0.0..1.0, count in 0u8..200) {
            let mut io = faulty(FaultPlan::everything(seed, chance));
            let sent = pass(&mut io, count).len() as u64;
            let FaultCounts { dropped, duplicated, transmit_full, .. } = io.faults();
            let counters = io.counters(PORT);
            prop_assert_eq!(counters.rx_packets, u64::from(count) - dropped + duplicated);
            prop_assert_eq!(counters.rx_packets, sent + transmit_full);
            prop_assert_eq!(io.accounts(), FrameAccounts { total: 512, free: 512, ..FrameAccounts::default() });
        }
    }

    #[test]
    fn what_is_held_back_counts_as_receiving() {
        let mut io = faulty(FaultPlan { reorder: 1.0, ..FaultPlan::default() });
        io.inner().inject(PORT, b"late").unwrap();
        let mut batch = FrameBatch::new();
        assert_eq!(io.receive(&mut batch), 0);
        assert_eq!((io.accounts().receiving, io.accounts().outstanding), (1, 0));
        assert_eq!(io.receive(&mut batch), 1);
        batch.drain(..).for_each(|frame| io.recycle(frame));
        assert_eq!(io.accounts().free, 512);
    }
}
