use super::*;
use k8s_openapi::api::core::v1::{Node, Service};

fn told(objects: &watch::Receiver<Objects>) -> Vec<String> {
    objects.borrow().problems.iter().map(ToString::to_string).collect()
}

#[test]
fn objects_are_pending_until_every_kind_has_been_listed() {
    let board = Board::new(BTreeSet::from(["services", "nodes"]));
    let mut objects = board.objects();
    let (mut services, mut nodes) = (Store::<Service>::default(), Store::<Node>::default());
    board.take(&mut services, Event::Init);
    assert!(!objects.has_changed().unwrap());
    board.take(&mut services, Event::InitDone);
    assert!(objects.borrow_and_update().pending);
    board.take(&mut nodes, Event::Init);
    board.take(&mut nodes, Event::InitDone);
    assert!(!objects.borrow_and_update().pending);
    // A new list is not waited for, and one without news wakes nobody.
    board.take(&mut nodes, Event::Init);
    board.take(&mut nodes, Event::InitDone);
    assert!(!objects.borrow().pending && !objects.has_changed().unwrap());
}

#[test]
fn an_absence_is_one_problem_however_many_kinds_miss_it_and_refusals_are_one_each() {
    let board = Board::new(BTreeSet::new());
    let mut objects = board.objects();
    board.ill("services", Trouble::Away("connection refused".to_owned()));
    board.ill("nodes", Trouble::Away("connection refused".to_owned()));
    objects.borrow_and_update();
    board.ill("nodes", Trouble::Away("timed out".to_owned()));
    assert!(!objects.has_changed().unwrap(), "it is the same absence");
    let since = told(&objects);
    assert_eq!(since.len(), 1);
    assert!(since[0].starts_with("API server: cannot be reached since "), "{since:?}");
    assert!(since[0].ends_with("last good objects stay (connection refused)"), "{since:?}");

    board.ill("namespaces", Trouble::Refused("no".to_owned()));
    assert_eq!(told(&objects)[1..], ["API server: no"]);
    board.well("services");
    assert_eq!(told(&objects).len(), 2, "nodes are still away");
    board.well("nodes");
    assert_eq!(told(&objects), ["API server: no"]);
    board.well("namespaces");
    objects.borrow_and_update();
    board.well("namespaces");
    assert!(told(&objects).is_empty() && !objects.has_changed().unwrap());
}
