//! What is wrong, in the log: when it begins to be, and when it is no more. Not at every publishing.

use crate::{fault::Problem, watch::is_of_connection};
use std::sync::Arc;

/// What is wrong, by where it was found.
#[derive(Debug, Default)]
pub(super) struct Wrong {
    /// With the objects.
    pub(super) objects: Told,
    /// With the tables that were made of them, on every gateway.
    pub(super) shared: Told,
    /// On this node alone.
    pub(super) own: Told,
}

/// What was wrong at the last time, and is in the log.
#[derive(Debug, Default)]
pub(super) struct Told(Arc<[Problem]>);

impl Told {
    /// Logs what differs from the last time. That the API server is away is logged where that is known.
    pub(super) fn tell(&mut self, problems: Vec<Problem>) {
        if *self.0 == *problems {
            return;
        }
        let (new, gone) = self.differences(&problems);
        for problem in new {
            tracing::warn!("{problem}");
        }
        for problem in gone {
            tracing::info!("no more: {problem}");
        }
        self.0 = problems.into();
    }

    /// All of it. A copy costs nothing.
    pub(super) fn problems(&self) -> &Arc<[Problem]> {
        &self.0
    }

    fn differences<'a>(&'a self, problems: &'a [Problem]) -> (Vec<&'a Problem>, Vec<&'a Problem>) {
        (missing(problems, &self.0), missing(&self.0, problems))
    }
}

/// Those of `all` that `others` lack.
fn missing<'a>(all: &'a [Problem], others: &[Problem]) -> Vec<&'a Problem> {
    let others: std::collections::BTreeSet<&Problem> = others.iter().collect();
    all.iter().filter(|problem| !is_of_connection(problem) && !others.contains(problem)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{Fault, Severity};

    fn problem(path: &str) -> Problem {
        let fault = Fault { path: path.to_owned(), message: "is wrong".to_owned() };
        Problem { severity: Severity::Error, origin: None, object: None, fault }
    }

    #[test]
    fn only_what_differs_is_told() {
        let (a, b, away) = (problem("a"), problem("b"), problem("API server"));
        let mut told = Told::default();
        assert_eq!(told.differences(&[a.clone(), away.clone()]), (vec![&a], vec![]));
        told.tell(vec![a.clone(), away.clone()]);
        assert_eq!(told.differences(&[a.clone(), away]), (vec![], vec![]));
        assert_eq!(told.differences(std::slice::from_ref(&b)), (vec![&b], vec![&a]));
    }
}
