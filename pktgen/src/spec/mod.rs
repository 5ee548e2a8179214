//! What to send: [`RawSpec`] as a person wrote it, in a file or as options, and [`Spec`] as it is sent.
//!
//! * In: YAML and options; an option takes the place of the file's field. Out: a [`Spec`], or [`SpecError`] with the
//!   field, its value and the remedy.
//! * A spec without a bound in time or in packets is refused, and so is one without an interface: nothing is ever sent
//!   without an end, nor anywhere else.
//! * Sizes are those of RFC 2544: of the whole frame, the four bytes of its check sequence included.

mod addresses;
mod error;
mod number;
mod raw;
mod size;
mod validate;

pub use addresses::{AddressRange, PortRange};
pub use error::SpecError;
pub use number::{Rate, Span};
pub use raw::{RawSpec, RawTraffic};
pub use size::{FCS_BYTES, MAX_SIZES, Sizes};
pub use validate::{Bound, Destination, MAX_FLOWS, Order, Protocol, Sender, Spec, Traffic};

#[cfg(test)]
mod tests;
