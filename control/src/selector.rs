//! Label selectors (`metav1.LabelSelector`), checked once and then asked.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use std::collections::{BTreeMap, BTreeSet};

/// The labels of an object.
pub type Labels = BTreeMap<String, String>;

/// A checked selector. One without terms selects everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector(Vec<Term>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    key: String,
    test: Test,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    In(BTreeSet<String>),
    NotIn(BTreeSet<String>),
    Exists,
    DoesNotExist,
}

impl Selector {
    /// Checks a selector, or says what is wrong with it.
    pub fn read(raw: &LabelSelector) -> Result<Self, String> {
        let labels = raw.match_labels.iter().flatten();
        let mut terms: Vec<Term> = labels
            .map(|(key, value)| Term { key: key.clone(), test: Test::In([value.clone()].into()) })
            .collect();
        for requirement in raw.match_expressions.iter().flatten() {
            let (key, operator) = (&requirement.key, requirement.operator.as_str());
            let values: BTreeSet<String> = requirement.values.iter().flatten().cloned().collect();
            let test = match (operator, values.is_empty()) {
                ("In", false) => Test::In(values),
                ("NotIn", false) => Test::NotIn(values),
                ("Exists", true) => Test::Exists,
                ("DoesNotExist", true) => Test::DoesNotExist,
                ("In" | "NotIn", true) => return Err(format!("{key}: {operator} needs values")),
                ("Exists" | "DoesNotExist", false) => {
                    return Err(format!("{key}: {operator} takes no values"));
                }
                _ => {
                    return Err(format!("{key}: {operator:?} is not one of In, NotIn, Exists, DoesNotExist"));
                }
            };
            terms.push(Term { key: key.clone(), test });
        }
        Ok(Self(terms))
    }

    /// Whether an object with these labels is meant.
    pub fn selects(&self, labels: &Labels) -> bool {
        self.0.iter().all(|Term { key, test }| {
            let value = labels.get(key);
            match test {
                Test::In(values) => value.is_some_and(|value| values.contains(value)),
                Test::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
                Test::Exists => value.is_some(),
                Test::DoesNotExist => value.is_none(),
            }
        })
    }
}
