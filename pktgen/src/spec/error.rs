//! What can be wrong with a spec.

/// A field that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {value}{}{remedy}", if value.is_empty() { "" } else { ": " })]
pub struct SpecError {
    /// Its name in the file; the option is called alike.
    pub field: String,
    /// Its value, or nothing where it is missing.
    pub value: String,
    /// What to write.
    pub remedy: String,
}

impl SpecError {
    pub(super) fn new(
        field: impl Into<String>,
        value: impl ToString,
        remedy: impl Into<String>,
    ) -> SpecError {
        SpecError { field: field.into(), value: value.to_string(), remedy: remedy.into() }
    }
}
