//! What drivers can do with XDP, as of Linux 6.18 (`grep -r ndo_bpf drivers/net`). A driver that is on neither list runs
//! the classifier in generic mode; one that has learned since only makes a warning out of date.

/// These run XDP programs themselves.
const NATIVE: &[&str] = &[
    "atlantic",
    "bnxt_en",
    "bonding",
    "cpsw",
    "dpaa2-eth",
    "dpaa-eth",
    "ena",
    "fec",
    "fsl_dpa",
    "fsl_enetc",
    "funeth",
    "gve",
    "hv_netvsc",
    "i40e",
    "iavf",
    "ice",
    "igb",
    "igc",
    "ixgbe",
    "ixgbevf",
    "lan966x-switch",
    "mana",
    "mlx4_en",
    "mlx5_core",
    "mtk_soc_eth",
    "mvneta",
    "mvpp2",
    "netsec",
    "nfp",
    "nicvf",
    "qede",
    "rvu-nicpf",
    "rvu-nicvf",
    "sfc",
    "st_gmac",
    "stmmac",
    "thunder-nicvf",
    "tsnep",
    "tun",
    "veth",
    "virtio_net",
    "vmxnet3",
];

/// These receive and send frames in our memory.
const ZERO_COPY: &[&str] = &[
    "dpaa2-eth",
    "gve",
    "i40e",
    "ice",
    "igb",
    "igc",
    "ixgbe",
    "mlx5_core",
    "nfp",
    "rvu-nicpf",
    "st_gmac",
    "stmmac",
    "tsnep",
    "virtio_net",
];

/// These send what is redirected to them (`grep -r ndo_xdp_xmit drivers/net`); since Linux 6.3 they say so themselves.
const TRANSMITS: &[&str] = &[
    "atlantic",
    "bnxt_en",
    "cpsw",
    "dpaa2-eth",
    "ena",
    "fec",
    "fsl_dpa",
    "fsl_enetc",
    "funeth",
    "gve",
    "hv_netvsc",
    "i40e",
    "ice",
    "igb",
    "igc",
    "ixgbe",
    "lan966x-switch",
    "mana",
    "mlx5_core",
    "mtk_soc_eth",
    "mvneta",
    "mvpp2",
    "netsec",
    "qede",
    "rvu-nicpf",
    "rvu-nicvf",
    "sfc",
    "st_gmac",
    "stmmac",
    "tsnep",
    "tun",
    "veth",
    "virtio_net",
    "vmxnet3",
];

/// Whether the driver runs XDP programs.
pub(crate) fn has_native_xdp(driver: &str) -> bool {
    NATIVE.contains(&driver)
}

/// Whether AF_XDP works without copying.
pub(crate) fn has_zero_copy(driver: &str) -> bool {
    ZERO_COPY.contains(&driver)
}

/// Whether the driver sends what is redirected to it.
pub(crate) fn transmits_redirected(driver: &str) -> bool {
    TRANSMITS.contains(&driver)
}
