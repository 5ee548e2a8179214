//! Text to [`Raw`], with every fault of shape.
//!
//! serde stops at the first fault. Here the node at fault is reported, taken out of the tree, and the rest is tried
//! again, until what is left has the right shape. A list item is replaced by null rather than removed, so that the
//! indices of later faults stay those of the file.

use super::raw::Raw;
use crate::fault::Faults;
use serde_path_to_error::Segment;
use serde_yaml_ng::{Mapping, Value};

/// More faults of shape than a person would read.
const MOST_FAULTS: usize = 100;

pub(super) fn parse(text: &str, faults: &mut Faults) -> Result<Raw, serde_yaml_ng::Error> {
    let mut tree: Value = serde_yaml_ng::from_str(text)?;
    if tree.is_null() {
        tree = Value::Mapping(Mapping::new());
    }
    for _ in 0..MOST_FAULTS {
        let error = match serde_path_to_error::deserialize::<_, Raw>(tree.clone()) {
            Ok(raw) => return Ok(raw),
            Err(error) => error,
        };
        let mut path: Vec<Segment> = error.path().iter().cloned().collect();
        let reason = reason(&error.into_inner().to_string());
        let remedy = match unknown_field(&reason) {
            Some((field, known)) => {
                // The error is reported on the map; the field is the one to take out.
                if !matches!(path.last(), Some(Segment::Map { key }) if key == &field) {
                    path.push(Segment::Map { key: field.clone() });
                }
                let hint =
                    closest(&field, &known).map(|near| format!("did you mean {near}? ")).unwrap_or_default();
                format!("unknown field; {hint}Known here: {}", known.join(", "))
            }
            None => {
                let value = find(&mut tree, &path).map(|node| shown(node)).unwrap_or_default();
                format!("{value}: must be {}", expected(&reason))
            }
        };
        faults.add(display(&path), remedy);
        if !take_out(&mut tree, &path) {
            return Ok(Raw::default());
        }
    }
    Ok(Raw::default())
}

/// serde_yaml_ng repeats the path and adds a position; the reason starts after it.
fn reason(message: &str) -> String {
    let start = ["unknown field", "invalid type", "invalid value", "duplicate"]
        .iter()
        .filter_map(|word| message.find(word))
        .min()
        .unwrap_or(0);
    message[start..].to_owned()
}

fn unknown_field(reason: &str) -> Option<(String, Vec<String>)> {
    let quoted: Vec<_> = reason.strip_prefix("unknown field ")?.split('`').skip(1).step_by(2).collect();
    let (field, known) = quoted.split_first()?;
    Some(((*field).to_owned(), known.iter().map(|name| (*name).to_owned()).collect()))
}

fn expected(reason: &str) -> &str {
    match reason.rsplit_once("expected ").map_or(reason, |(_, expected)| expected) {
        "u64" => "a whole number of 0 or more",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        other => other,
    }
}

/// The known field an author may have meant: the nearest by edits, if it is near.
fn closest<'a>(field: &str, known: &'a [String]) -> Option<&'a str> {
    let (distance, name) = known.iter().map(|name| (edits(field, name), name)).min()?;
    (distance <= 2.max(field.len() / 3)).then_some(name)
}

/// Levenshtein's distance without regard to case.
fn edits(a: &str, b: &str) -> usize {
    let (a, b) = (a.to_lowercase(), b.to_lowercase());
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.chars().enumerate() {
            let substituted = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[row.len() - 1]
}

fn display(path: &[Segment]) -> String {
    let mut text = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => text.push_str(&format!("[{index}]")),
            Segment::Map { key } | Segment::Enum { variant: key } => {
                let dot = if text.is_empty() { "" } else { "." };
                text.push_str(&format!("{dot}{key}"));
            }
            Segment::Unknown => {}
        }
    }
    text
}

fn shown(node: &Value) -> String {
    serde_json::to_string(node).unwrap_or_else(|_| "?".into())
}

fn find<'a>(tree: &'a mut Value, path: &[Segment]) -> Option<&'a mut Value> {
    path.iter().try_fold(tree, |node, segment| match segment {
        Segment::Seq { index } => node.get_mut(*index),
        Segment::Map { key } => node.get_mut(key.as_str()),
        _ => None,
    })
}

fn take_out(tree: &mut Value, path: &[Segment]) -> bool {
    let Some((last, parents)) = path.split_last() else { return false };
    let Some(parent) = find(tree, parents) else { return false };
    match (last, parent) {
        (Segment::Map { key }, Value::Mapping(map)) => map.remove(key.as_str()).is_some(),
        (Segment::Seq { index }, Value::Sequence(list)) => match list.get_mut(*index) {
            Some(item) if !item.is_null() => {
                *item = Value::Null;
                true
            }
            _ => false,
        },
        _ => false,
    }
}
