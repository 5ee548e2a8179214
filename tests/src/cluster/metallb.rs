//! MetalLB's CustomResourceDefinitions, from its own Go module: tests/cluster/metallb/go.mod says which release.
//!
//! No MetalLB runs. Its definitions make the API server take, default and refuse pools and advertisements as it does for
//! users of MetalLB.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use penstock::netns::{self, find_program};
use serde_json::Value;

use super::{Api, Cluster};

/// The module that pins MetalLB.
const MODULE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/cluster/metallb");

/// Where its definitions are in it.
const DEFINITIONS: &str = "config/crd/bases";

/// What API servers tell once they serve them.
const SERVED: [&str; 2] =
    ["/apis/metallb.io/v1beta1/ipaddresspools", "/apis/metallb.io/v1beta1/l2advertisements"];

impl Cluster {
    /// Applies MetalLB's definitions and waits until they are served.
    pub fn install_metallb(&mut self) -> Result<()> {
        self.apply_path("-f", &metallb_definitions()?)?;
        self.wait_until("MetalLB's API", |api: &Api| SERVED.iter().all(|path| api.get(path).is_ok()))
    }
}

/// The folder of MetalLB's definitions: of the module cache, filled first if need be.
pub fn metallb_definitions() -> Result<PathBuf> {
    let go = find_program("go").or_else(|missing| {
        let own = PathBuf::from("/usr/local/go/bin/go");
        if own.is_file() { Ok(own) } else { Err(missing) }
    })?;
    let mut command = Command::new(go);
    command.args(["mod", "download", "-json", "go.universe.tf/metallb"]).current_dir(MODULE);
    let answer = netns::run(command).context("MetalLB's definitions are taken from its Go module")?;
    let answer: Value = serde_json::from_str(&answer).with_context(|| answer.clone())?;
    let folder = answer["Dir"].as_str().with_context(|| format!("no Dir in {answer}"))?;
    Ok(Path::new(folder).join(DEFINITIONS))
}
