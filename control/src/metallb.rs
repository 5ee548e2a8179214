//! MetalLB's objects, `metallb.io/v1beta1`, in the shape that its users write them (`service-semantics.md` §5.2, §5.5).
//!
//! Read as they are and never changed, but for the status of pools. What they mean is [`ipam`](crate::ipam)'s and
//! [`l2`](crate::l2)'s business.

use k8s_openapi::{
    Metadata, NamespaceResourceScope, Resource,
    apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta},
};
use serde::{Deserialize, Serialize, Serializer, ser::SerializeStruct};

macro_rules! object {
    ($(#[doc = $doc:literal])* $name:ident, $kind:literal, $plural:literal, $spec:ident) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Default, PartialEq, Deserialize)]
        pub struct $name {
            /// Name, namespace, labels.
            #[serde(default)]
            pub metadata: ObjectMeta,
            /// What is wanted.
            #[serde(default)]
            pub spec: $spec,
        }

        // The API's own types write their version and kind too.
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut fields = serializer.serialize_struct($kind, 4)?;
                fields.serialize_field("apiVersion", Self::API_VERSION)?;
                fields.serialize_field("kind", Self::KIND)?;
                fields.serialize_field("metadata", &self.metadata)?;
                fields.serialize_field("spec", &self.spec)?;
                fields.end()
            }
        }

        impl Resource for $name {
            const API_VERSION: &'static str = "metallb.io/v1beta1";
            const GROUP: &'static str = "metallb.io";
            const KIND: &'static str = $kind;
            const VERSION: &'static str = "v1beta1";
            const URL_PATH_SEGMENT: &'static str = $plural;
            type Scope = NamespaceResourceScope;
        }

        impl Metadata for $name {
            type Ty = ObjectMeta;
            fn metadata(&self) -> &ObjectMeta {
                &self.metadata
            }
            fn metadata_mut(&mut self) -> &mut ObjectMeta {
                &mut self.metadata
            }
        }
    };
}

object!(
    /// A pool of addresses for LoadBalancer Services.
    IpAddressPool,
    "IPAddressPool",
    "ipaddresspools",
    PoolSpec
);

object!(
    /// Which addresses are announced by ARP and neighbour discovery, by which nodes, on which interfaces.
    L2Advertisement,
    "L2Advertisement",
    "l2advertisements",
    L2AdvertisementSpec
);

/// `spec` of an IPAddressPool.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PoolSpec {
    /// Prefixes and ranges.
    pub addresses: Vec<String>,
    /// Whether Services that ask for nothing may have its addresses; true if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_assign: Option<bool>,
    /// Whether IPv4 addresses that end in .0 and .255 are left out.
    #[serde(rename = "avoidBuggyIPs")]
    pub avoid_buggy_ips: bool,
    /// Which Services it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_allocation: Option<ServiceAllocation>,
}

/// `spec.serviceAllocation`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceAllocation {
    /// 1 comes first, 0 last.
    pub priority: u32,
    /// Namespaces by name.
    pub namespaces: Vec<String>,
    /// Namespaces by label.
    pub namespace_selectors: Vec<LabelSelector>,
    /// Services by label.
    pub service_selectors: Vec<LabelSelector>,
}

/// `spec` of an L2Advertisement. What is empty restricts nothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct L2AdvertisementSpec {
    /// Pools by name.
    pub ip_address_pools: Vec<String>,
    /// Pools by label.
    pub ip_address_pool_selectors: Vec<LabelSelector>,
    /// Which nodes may announce.
    pub node_selectors: Vec<LabelSelector>,
    /// On which interfaces.
    pub interfaces: Vec<String>,
    /// Services by label.
    pub service_selectors: Vec<LabelSelector>,
    /// Which of those nodes are preferred.
    pub preferred_node_selectors: Vec<PreferredNodes>,
}

/// Nodes that are preferred, and how much.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PreferredNodes {
    /// 1 to 100; the sum over all that match counts.
    pub weight: u32,
    /// Which nodes.
    pub preference: LabelSelector,
}
