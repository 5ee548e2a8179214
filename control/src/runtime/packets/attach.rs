//! Where the classifier is attached.

use crate::config::{self, Config};
use penstock_dataplane::xdp::{AttachPreference, Classifier, ClassifierError};

/// Puts the classifier on all interfaces, and nowhere else.
pub(in crate::runtime) fn attach(
    config: &Config,
    classifier: &mut Classifier,
) -> Result<(), ClassifierError> {
    for interface in &config.interfaces {
        classifier.attach(&interface.name, attach_preference(interface))?;
    }
    let left = classifier.detach_left()?;
    if !left.is_empty() {
        tracing::info!(interfaces = ?left, "a former process's classifier is taken off interfaces that are not configured");
    }
    Ok(())
}

/// Where the classifier is wanted on an interface.
pub(in crate::runtime) fn attach_preference(interface: &config::Interface) -> AttachPreference {
    match interface.mode {
        config::XdpMode::Auto => AttachPreference::Auto,
        config::XdpMode::Native => AttachPreference::Native,
        config::XdpMode::Generic => AttachPreference::Generic,
    }
}
