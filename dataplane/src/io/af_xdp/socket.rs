//! One AF_XDP socket: the four rings of an interface's queue.
//!
//! Every frame in the kernel's hands is counted: `receiving` from the fill ring until it comes out of the receive
//! ring, `sending` from [`Socket::transmit`] until it comes out of the completion ring.
#![expect(unsafe_code, reason = "frames pass to the kernel and back by their addresses")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use arrayvec::ArrayVec;
use xsk_rs::config::{BindFlags, LibxdpFlags, QueueSize, SocketConfig};
use xsk_rs::{CompQueue, FillQueue, FrameDesc, RxQueue, TxQueue, Umem};

use super::super::pool::FramePool;
use super::super::{BATCH, Frame, FrameBatch, PortCounters, PortId, SocketReport};
use super::memory::{Descriptors, os_error};
use super::{BindMode, SocketEvent, link};

/// Packets one `sendto` may send in copy mode, where the kernel lets us say.
const SEND_BUDGET: u32 = 256;
/// Packets that a driver may receive in one busy poll: as many as in a poll by interrupt.
const BUSY_POLL: u32 = 64;
/// System calls without progress after which the rest is left in the ring for the next flush.
const IDLE_KICKS: u32 = 4;
/// Different errors remembered until they are reported.
const FAILURES: usize = 4;

/// Which socket this is.
#[derive(Debug, Clone)]
pub(super) struct SocketName {
    pub(super) port: PortId,
    pub(super) interface: String,
    pub(super) queue: u32,
}

/// The rings of one queue, and what is in them.
#[derive(Debug)]
pub(super) struct Socket {
    name: SocketName,
    mode: BindMode,
    tx: TxQueue,
    rx: RxQueue,
    fill: FillQueue,
    completion: CompQueue,
    ring_size: u32,
    /// Frames that should be with the kernel for receiving.
    fill_target: usize,
    receiving: usize,
    sending: usize,
    /// Descriptors not yet in the transmit ring.
    queued: ArrayVec<FrameDesc, BATCH>,
    /// For descriptors coming out of a ring and going into one.
    scratch: Box<[FrameDesc; BATCH]>,
    /// Whether the transmit ring holds anything that the kernel may not have taken yet.
    kernel_is_due: bool,
    /// The kernel has unbound the socket: the interface vanished.
    gone: bool,
    failures: ArrayVec<(i32, u64), FAILURES>,
    /// Nothing has come yet by which to tell whether the driver can be polled.
    unchecked: bool,
    counters: PortCounters,
}

impl Socket {
    /// Makes and binds a socket whose fill ring is kept at `fill_target` frames.
    pub(super) fn open(
        umem: &Umem,
        name: SocketName,
        ring: QueueSize,
        mode: BindMode,
        fill_target: usize,
    ) -> io::Result<Socket> {
        let copying = match mode {
            BindMode::ZeroCopy => BindFlags::XDP_ZEROCOPY,
            BindMode::Copy => BindFlags::XDP_COPY,
        };
        let config = SocketConfig::builder()
            .rx_queue_size(ring)
            .tx_queue_size(ring)
            .libxdp_flags(LibxdpFlags::XSK_LIBXDP_FLAGS_INHIBIT_PROG_LOAD)
            .bind_flags(copying | BindFlags::XDP_USE_NEED_WAKEUP)
            .build();
        let interface = name.interface.parse().map_err(|_| io::Error::from_raw_os_error(libc::ENODEV))?;
        // SAFETY: libxdp loads no program, so the hazard of shared queues does not arise.
        let opened = unsafe { xsk_rs::Socket::new(config, umem, &interface, name.queue) };
        let (tx, rx, rings) = opened.map_err(|error| os_error(&error))?;
        // No rings of its own: the same queue is in this UMEM already.
        let (fill, completion) = rings.ok_or_else(|| io::Error::from_raw_os_error(libc::EBUSY))?;
        let socket = Socket {
            name,
            mode,
            tx,
            rx,
            fill,
            completion,
            ring_size: ring.get(),
            fill_target,
            receiving: 0,
            sending: 0,
            queued: ArrayVec::new(),
            scratch: Box::new([FrameDesc::default(); BATCH]),
            kernel_is_due: false,
            gone: false,
            failures: ArrayVec::new(),
            unchecked: false,
            counters: PortCounters::default(),
        };
        if mode == BindMode::Copy {
            link::raise_send_budget(socket.fd(), SEND_BUDGET.min(ring.get()));
        }
        Ok(socket)
    }

    /// Asks for the driver to be polled by this socket's calls. `false`: the kernel refuses, and interrupts go on.
    pub(super) fn busy_poll(&mut self) -> bool {
        let SocketName { interface, queue, .. } = &self.name;
        match link::prefer_busy_poll(self.fd(), BUSY_POLL) {
            Ok(()) => self.unchecked = true,
            Err(error) => tracing::warn!(
                interface,
                queue,
                %error,
                "busy polling is refused (it needs CAP_NET_ADMIN and Linux 5.11): the worker polls its rings only, as with \
                 workers.idle: busy"
            ),
        }
        self.unchecked
    }

    /// Says once if the driver has nothing to poll: packets tell, when the first has come.
    pub(super) fn check_busy_poll(&mut self) {
        if !self.unchecked || self.counters.rx_packets == 0 {
            return;
        }
        self.unchecked = false;
        let SocketName { interface, queue, .. } = &self.name;
        match link::napi_id(self.fd()) {
            Some(napi) => tracing::info!(interface, queue, napi, "the driver is polled by the worker"),
            None => tracing::warn!(
                interface,
                queue,
                "the driver has nothing that a socket could poll: the worker polls its rings only, as with workers.idle: busy"
            ),
        }
    }

    pub(super) fn port(&self) -> PortId {
        self.name.port
    }

    pub(super) fn queue(&self) -> u32 {
        self.name.queue
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the socket is open as long as its queues, which `self` owns.
        unsafe { BorrowedFd::borrow_raw(self.rx.fd().as_raw_fd()) }
    }

    pub(super) fn receiving(&self) -> usize {
        self.receiving
    }

    pub(super) fn sending(&self) -> usize {
        self.sending
    }

    /// Moves received packets into `batch`, as many as fit.
    #[inline]
    pub(super) fn receive(
        &mut self,
        batch: &mut FrameBatch,
        pool: &mut FramePool,
        descriptors: &mut Descriptors,
    ) {
        // SAFETY: the scratch descriptors stand for no frames.
        let count = unsafe { self.rx.consume(&mut self.scratch[..batch.remaining_capacity()]) };
        for descriptor in &self.scratch[..count] {
            descriptors.note(descriptor);
            let len = descriptor.lengths().data();
            // SAFETY: the receive ring has just given this frame of our UMEM up.
            batch.push(unsafe { pool.lend(descriptor.addr(), len, self.name.port) });
            self.counters.rx_bytes += len as u64;
        }
        self.counters.rx_packets += count as u64;
        self.receiving -= count;
    }

    /// Queues a frame. It is dropped if the interface is gone, or the frame empty, which the kernel would not send
    /// nor give back.
    #[inline]
    pub(super) fn transmit(&mut self, frame: Frame, pool: &mut FramePool, descriptors: &Descriptors) {
        if self.gone || frame.is_empty() {
            self.counters.tx_dropped += 1;
            pool.release(frame);
            return;
        }
        let len = frame.len();
        let Some(address) = pool.surrender(frame) else { return };
        if self.queued.is_full() {
            self.submit(pool);
        }
        self.queued.push(descriptors.to_send(address, len));
        self.sending += 1;
    }

    /// Makes queued frames leave, and collects those that have left.
    #[inline]
    pub(super) fn flush(&mut self, pool: &mut FramePool) {
        self.submit(pool);
        if self.kernel_is_due {
            self.kick(pool);
        }
        if self.sending > 0 {
            self.reap(pool);
        }
    }

    /// Puts what is queued into the transmit ring; drops what finds no room, even after the kernel was kicked.
    fn submit(&mut self, pool: &mut FramePool) {
        let wanted = self.queued.len();
        if wanted == 0 {
            return;
        }
        let mut room = self.tx.nb_free(wanted as u32) as usize;
        if room < wanted {
            self.kick(pool);
            room = self.tx.nb_free(wanted as u32) as usize;
        }
        // SAFETY: these frames of our UMEM were surrendered, and are in no other ring.
        let submitted = unsafe { self.tx.produce(&self.queued[..wanted.min(room)]) };
        self.counters.tx_packets += submitted as u64;
        for descriptor in &self.queued[..submitted] {
            self.counters.tx_bytes += descriptor.lengths().data() as u64;
        }
        for descriptor in &self.queued[submitted..] {
            pool.put(descriptor.addr());
            self.counters.tx_dropped += 1;
            self.sending -= 1;
        }
        self.queued.clear();
        self.kernel_is_due |= submitted > 0;
    }

    /// Wakes the kernel. In copy mode it sends within the call, some packets at a time, so it is called until the
    /// ring is empty or nothing moves: a full device queue, no memory, the link down. What is left is for the next
    /// flush.
    fn kick(&mut self, pool: &mut FramePool) {
        let mut idle = 0;
        let mut free = self.tx.nb_free_exact();
        while free < self.ring_size && idle < IDLE_KICKS && !self.gone {
            if !self.tx.needs_wakeup() {
                break;
            }
            if let Err(error) = self.tx.wakeup() {
                self.note_failure(error.raw_os_error().unwrap_or(libc::EIO));
                break;
            }
            if self.mode == BindMode::ZeroCopy {
                break;
            }
            // The kernel stops where the completion ring is full.
            self.reap(pool);
            let now = self.tx.nb_free_exact();
            idle = if now > free { 0 } else { idle + 1 };
            free = now;
        }
        self.kernel_is_due = free < self.ring_size;
    }

    /// Takes sent frames out of the completion ring.
    fn reap(&mut self, pool: &mut FramePool) {
        loop {
            // SAFETY: the scratch descriptors stand for no frames.
            let count = unsafe { self.completion.consume(&mut self.scratch[..]) };
            for descriptor in &self.scratch[..count] {
                pool.put(descriptor.addr());
            }
            self.sending -= count;
            if count < BATCH {
                return;
            }
        }
    }

    /// Gives the kernel frames to receive into, up to the target, as far as there are free ones.
    #[inline]
    pub(super) fn refill(&mut self, pool: &mut FramePool, descriptors: &Descriptors) {
        while self.receiving < self.fill_target && !self.gone {
            let wanted = (self.fill_target - self.receiving).min(BATCH).min(pool.free());
            let mut taken = 0;
            while let Some(address) = if taken < wanted { pool.take() } else { None } {
                self.scratch[taken] = descriptors.of(address);
                taken += 1;
            }
            // SAFETY: these frames of our UMEM were free, and are in no other ring.
            let filled = unsafe { self.fill.produce(&self.scratch[..taken]) };
            for descriptor in &self.scratch[filled..taken] {
                pool.put(descriptor.addr());
            }
            self.receiving += filled;
            if filled < BATCH {
                break;
            }
        }
        if self.fill.needs_wakeup()
            && let Err(error) = self.fill.wakeup(self.rx.fd_mut(), 0)
        {
            self.note_failure(error.raw_os_error().unwrap_or(libc::EIO));
        }
    }

    /// The counters, with what the kernel says it dropped.
    pub(super) fn counters(&self) -> PortCounters {
        let mut counters = self.counters;
        if let Ok(kernel) = self.rx.fd().xdp_statistics() {
            // Not the count of empty fill rings: in copy mode each is in `rx_dropped` as well, and with zero-copy
            // the driver tries again.
            counters.rx_missed += kernel.rx_dropped() + kernel.rx_ring_full();
            counters.rx_ring_full += kernel.rx_ring_full();
            counters.fill_ring_empty += kernel.rx_fill_ring_empty_descs();
        }
        counters
    }

    pub(super) fn report(&self) -> SocketReport {
        let SocketName { port, queue, .. } = self.name;
        SocketReport { port, queue, attached: !self.gone, counters: self.counters() }
    }

    pub(super) fn take_events(&mut self) -> Vec<SocketEvent> {
        if let Some(errno) = link::pending_error(self.fd()) {
            // The one error that is put on such a socket: it was unbound because its interface went away.
            self.gone = true;
            self.note_failure(errno);
        }
        let name = &self.name;
        let event = |(errno, times)| SocketEvent {
            port: name.port,
            interface: name.interface.clone(),
            queue: name.queue,
            errno,
            times,
        };
        self.failures.drain(..).map(event).collect()
    }

    #[cold]
    fn note_failure(&mut self, errno: i32) {
        // Both mean that the kernel has unbound the socket from its interface.
        self.gone |= matches!(errno, libc::ENXIO | libc::ENODEV);
        match self.failures.iter_mut().find(|(noted, _)| *noted == errno) {
            Some((_, times)) => *times += 1,
            // The first kinds are told; more than a few say nothing new.
            None => drop(self.failures.try_push((errno, 1))),
        }
    }
}
