//! What the classifier decided, counted.

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// Packets by decision, of all interfaces and processors since the classifier was loaded. Every packet is
        /// counted once.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct ClassifierCounters {
            $($(#[doc = $doc])+ pub $name: u64,)+
        }

        impl ClassifierCounters {
            /// Names in the order of `enum verdict` in `maps.h`.
            pub const NAMES: &[&str] = &[$(stringify!($name)),+];

            /// From the numbers in the map, in that order.
            pub(super) fn from_map(mut value: impl FnMut(u32) -> Result<u64, aya::maps::MapError>)
                -> Result<ClassifierCounters, aya::maps::MapError> {
                let mut index = 0..;
                let mut next = || value(index.next().unwrap_or_default());
                // Fields are evaluated in the order they are written.
                Ok(ClassifierCounters { $($name: next()?,)+ })
            }

            /// Name and value of each counter.
            pub fn named(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name)),+].into_iter()
            }
        }
    };
}

counters! {
    /// Passed: the interface is not configured.
    pass_unknown_interface,
    /// Passed: neither IPv4 nor IPv6.
    pass_not_ip,
    /// Passed: cut short, or not what its headers say, where the decision needed it.
    pass_malformed,
    /// Passed: whole, and not ours.
    pass_not_ours,
    /// Passed: IPv6 neighbour discovery, which is the kernel's whatever the address.
    pass_neighbour,
    /// Redirected: to a VIP.
    redirect_vip,
    /// Redirected: to a NodePort of a node address.
    redirect_node_port,
    /// Redirected: to a port of our translations.
    redirect_snat,
    /// Redirected: an ICMP error about a packet of ours.
    redirect_icmp_error,
    /// Redirected: a later fragment of a datagram whose first fragment was ours.
    redirect_fragment,
    /// Redirected: from a backend that sees clients' addresses.
    redirect_backend,
    /// Redirected to another interface: of a flow in the fast lane, and rewritten by the classifier itself.
    redirect_lane,
    /// Dropped: ours, but no socket is bound to the queue it arrived on.
    drop_no_socket,
}

impl ClassifierCounters {
    /// Packets given to the kernel's stack.
    pub fn passed(&self) -> u64 {
        self.sum("pass_")
    }

    /// Packets given to the dataplane.
    pub fn redirected(&self) -> u64 {
        self.sum("redirect_") - self.redirect_lane
    }

    fn sum(&self, prefix: &str) -> u64 {
        self.named().filter(|(name, _)| name.starts_with(prefix)).map(|(_, value)| value).sum()
    }
}
