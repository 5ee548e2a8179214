//! Fields that a manifest has and its kind has not: mostly typing errors.
//!
//! The object is written back to a tree, and what the manifest's tree has beyond it is unknown. That needs no list of
//! fields beside the types'.

use serde::Serialize;
use serde_json::Value;

/// The paths of all unknown fields.
pub(super) fn unknown_fields(tree: &Value, object: &impl Serialize) -> Vec<String> {
    let mut unknown = Vec::new();
    if let Ok(known) = serde_json::to_value(object) {
        compare("", tree, &known, &mut unknown);
    }
    unknown
}

fn compare(path: &str, given: &Value, known: &Value, unknown: &mut Vec<String>) {
    match (given, known) {
        (Value::Object(given), Value::Object(known)) => {
            for (field, value) in given {
                let dot = if path.is_empty() { "" } else { "." };
                let path = format!("{path}{dot}{field}");
                match known.get(field) {
                    Some(known) => compare(&path, value, known, unknown),
                    // Null is how clients write an absent field.
                    None if value.is_null() => {}
                    None => unknown.push(path),
                }
            }
        }
        (Value::Array(given), Value::Array(known)) => {
            for (index, (given, known)) in given.iter().zip(known).enumerate() {
                compare(&format!("{path}[{index}]"), given, known, unknown);
            }
        }
        _ => {}
    }
}
