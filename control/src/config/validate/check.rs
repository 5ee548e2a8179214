//! The checks that several fields share. Each reports its fault and returns a usable value all the same.

use super::super::raw::List;
use crate::fault::Faults;
use std::{
    fmt::Display,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

/// One of a few words.
pub(super) fn word<T: Copy>(
    path: &str,
    given: Option<String>,
    words: &[(&str, T)],
    default: T,
    faults: &mut Faults,
) -> T {
    let Some(given) = given else { return default };
    match words.iter().find(|(word, _)| *word == given) {
        Some((_, value)) => *value,
        None => {
            let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            faults.value(path, format!("{given:?}"), format!("must be one of {}", known.join(", ")));
            default
        }
    }
}

/// A number within a range.
pub(super) fn number(
    path: &str,
    given: Option<u64>,
    range: RangeInclusive<u64>,
    default: u64,
    remedy: &str,
    faults: &mut Faults,
) -> u64 {
    let Some(given) = given else { return default };
    if range.contains(&given) {
        return given;
    }
    let bound = match given < *range.start() {
        true => format!("must be at least {}", range.start()),
        false => format!("must be at most {}", range.end()),
    };
    let remedy = if remedy.is_empty() { String::new() } else { format!("; {remedy}") };
    faults.value(path, given, bound + &remedy);
    default
}

/// A word with a parser of its own.
pub(super) fn parsed<T, E: Display>(
    path: &str,
    given: Option<String>,
    parser: impl Fn(&str) -> Result<T, E>,
    faults: &mut Faults,
) -> Option<T> {
    let given = given?;
    match parser(&given) {
        Ok(value) => Some(value),
        Err(remedy) => {
            faults.value(path, format!("{given:?}"), remedy);
            None
        }
    }
}

/// A list of such words. What was taken out by the parser is reported already.
pub(super) fn list<T, E: Display>(
    path: &str,
    given: List<String>,
    parser: impl Fn(&str) -> Result<T, E>,
    faults: &mut Faults,
) -> Vec<T> {
    let mut values = Vec::new();
    for (index, item) in given.unwrap_or_default().into_iter().enumerate() {
        let path = format!("{path}[{index}]");
        if item.is_none() && !faults.has(&path) {
            faults.value(&path, "null", "must not be empty; leave the item out");
        }
        values.extend(parsed(&path, item, &parser, faults));
    }
    values
}

/// A path from the root, so that it means the same wherever the program was started.
pub(super) fn absolute_path(
    path: &str,
    given: Option<String>,
    default: &str,
    faults: &mut Faults,
) -> PathBuf {
    let given = given.unwrap_or_else(|| default.to_owned());
    if !Path::new(&given).is_absolute() {
        faults.value(path, format!("{given:?}"), "must be an absolute path");
    }
    PathBuf::from(given)
}
