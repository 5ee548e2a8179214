//! What people are told about a Service without an address: one word for machines, and what to do about it.

use super::error::Pending;

impl Pending {
    /// The reason of the condition `penstock.dev/AddressAssigned`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Request(_) => "InvalidRequest",
            Self::ClusterIps => "NotEnoughClusterIPs",
            Self::Families { .. } => "FamilyMismatch",
            Self::Unknown { .. } => "NotInAnyPool",
            Self::OtherPool { .. } => "PoolMismatch",
            Self::NotAdmitted(_) => "PoolNotAdmitting",
            Self::UnknownPool(_) => "UnknownPool",
            Self::PoolUsedUp(_) => "PoolUsedUp",
            Self::UsedUp => "NoAvailableAddress",
            Self::NoPools => "NoPools",
            Self::Held { .. } => "AddressInUse",
            Self::Port { .. } => "PortInUse",
        }
    }

    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Request(_) => {
                "write one address of each family at most, in the annotation metallb.io/loadBalancerIPs or in \
                 spec.loadBalancerIP, not in both"
            }
            Self::ClusterIps => {
                "ipFamilyPolicy RequireDualStack needs cluster IPs of both families: let the cluster assign both, or \
                 use PreferDualStack"
            }
            Self::Families { .. } => "ask for exactly one address of each family of spec.clusterIPs",
            Self::Unknown { .. } => "ask for addresses of one IPAddressPool, or add these to one",
            Self::OtherPool { .. } => {
                "make the annotations metallb.io/loadBalancerIPs and metallb.io/address-pool agree, or remove one"
            }
            Self::NotAdmitted(_) => {
                "serviceAllocation of the pool must select this Service and its namespace, or another pool be asked for"
            }
            Self::UnknownPool(_) => {
                "create the IPAddressPool, or correct the annotation metallb.io/address-pool"
            }
            Self::PoolUsedUp(_) => {
                "add addresses of the Service's families to the pool, or delete Services that have some; this one gets \
                 the next that is free"
            }
            Self::UsedUp => {
                "no IPAddressPool with autoAssign that admits this Service has a free address of its families: add \
                 addresses, or delete Services that have some; this one gets the next that is free"
            }
            Self::NoPools => "create an IPAddressPool in the namespace that pools are read from",
            Self::Held { .. } => {
                "ask for another address, or give both Services the same metallb.io/allow-shared-ip and the same \
                 external traffic policy (with Local, the same selector too)"
            }
            Self::Port { .. } => {
                "Services that share an address must not have a port in common: change one, or ask for another address"
            }
        }
    }

    /// Whether the address or the port that somebody gives up may be what is missing.
    pub fn may_end_by_itself(&self) -> bool {
        matches!(self, Self::PoolUsedUp(_) | Self::UsedUp | Self::Held { .. } | Self::Port { .. })
    }
}
