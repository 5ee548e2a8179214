//! What drivers can do with XDP, as of Linux 6.18 (`grep -r ndo_bpf drivers/net`). A driver that is not listed runs
//! the classifier in generic mode; one that has learned since only makes a warning out of date.

/// Runs XDP programs itself, as all that are listed do.
const RUNS: u8 = 0;
/// Sends what is redirected to it (`grep -r ndo_xdp_xmit drivers/net`); since Linux 6.3 drivers say so themselves.
const SENDS: u8 = 1;
/// Receives and sends frames in our memory.
const ZERO_COPY: u8 = 2;

/// Drivers and what they can do.
const DRIVERS: &[(&str, u8)] = &[
    ("atlantic", SENDS),
    ("bnxt_en", SENDS),
    ("bonding", RUNS),
    ("cpsw", SENDS),
    ("dpaa2-eth", SENDS | ZERO_COPY),
    ("dpaa-eth", RUNS),
    ("ena", SENDS),
    ("fec", SENDS),
    ("fsl_dpa", SENDS),
    ("fsl_enetc", SENDS),
    ("funeth", SENDS),
    ("gve", SENDS | ZERO_COPY),
    ("hv_netvsc", SENDS),
    ("i40e", SENDS | ZERO_COPY),
    ("iavf", RUNS),
    ("ice", SENDS | ZERO_COPY),
    ("igb", SENDS | ZERO_COPY),
    ("igc", SENDS | ZERO_COPY),
    ("ixgbe", SENDS | ZERO_COPY),
    ("ixgbevf", RUNS),
    ("lan966x-switch", SENDS),
    ("mana", SENDS),
    ("mlx4_en", RUNS),
    ("mlx5_core", SENDS | ZERO_COPY),
    ("mtk_soc_eth", SENDS),
    ("mvneta", SENDS),
    ("mvpp2", SENDS),
    ("netsec", SENDS),
    ("nfp", ZERO_COPY),
    ("nicvf", RUNS),
    ("qede", SENDS),
    ("rvu-nicpf", SENDS | ZERO_COPY),
    ("rvu-nicvf", SENDS),
    ("sfc", SENDS),
    ("st_gmac", SENDS | ZERO_COPY),
    ("stmmac", SENDS | ZERO_COPY),
    ("thunder-nicvf", RUNS),
    ("tsnep", SENDS | ZERO_COPY),
    ("tun", SENDS),
    ("veth", SENDS),
    ("virtio_net", SENDS | ZERO_COPY),
    ("vmxnet3", SENDS),
];

fn can(driver: &str, what: u8) -> bool {
    DRIVERS.iter().any(|(name, can)| *name == driver && can & what == what)
}

/// Whether the driver runs XDP programs.
pub(crate) fn has_native_xdp(driver: &str) -> bool {
    can(driver, RUNS)
}

/// Whether AF_XDP works without copying.
pub(crate) fn has_zero_copy(driver: &str) -> bool {
    can(driver, ZERO_COPY)
}

/// Whether the driver sends what is redirected to it.
pub(crate) fn transmits_redirected(driver: &str) -> bool {
    can(driver, SENDS)
}
