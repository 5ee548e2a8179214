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

fn refusal() -> Trouble {
    Trouble::Refused { cause: "no".to_owned(), remedy: "allow it".to_owned() }
}

/// An API server that has just started does so until it has read its roles.
#[test]
fn refusals_are_believed_when_they_last() {
    let board = Board::new(BTreeSet::new());
    let objects = board.objects();
    let start = Instant::now();
    let after = |seconds| start + Duration::from_secs(seconds);
    let is_advised = || told(&objects).iter().any(|text| text.contains("allow it"));
    // Away, back, and refusing for a while.
    board.ill_at("services", Trouble::Away("connection refused".to_owned()), start);
    for seconds in [20, 30, 49] {
        board.ill_at("services", refusal(), after(seconds));
        assert!(!is_advised() && told(&objects).len() == 1, "{:?}", told(&objects));
    }
    assert!(!board.is_well());
    board.well("services");
    assert!(told(&objects).is_empty() && board.is_well());
    // Refusing, with an absence in between: it begins anew.
    board.ill_at("services", refusal(), after(100));
    board.ill_at("services", Trouble::Away("timed out".to_owned()), after(120));
    board.ill_at("services", refusal(), after(121));
    board.ill_at("services", refusal(), after(150));
    assert!(!is_advised(), "{:?}", told(&objects));
    board.ill_at("services", refusal(), after(151));
    assert_eq!(told(&objects), ["API server: no: allow it"]);
    assert!(objects.borrow().problems.iter().all(is_of_connection));
    // It is away again: that is what there is to know.
    board.ill_at("services", Trouble::Away("connection refused".to_owned()), after(160));
    assert!(!is_advised() && told(&objects).len() == 1, "{:?}", told(&objects));
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

    let start = Instant::now();
    board.ill_at("namespaces", refusal(), start);
    board.ill_at("namespaces", refusal(), start + REFUSALS);
    assert_eq!(told(&objects)[1..], ["API server: no: allow it"]);
    board.well("services");
    assert_eq!(told(&objects).len(), 2, "nodes are still away");
    board.well("nodes");
    assert_eq!(told(&objects), ["API server: no: allow it"]);
    board.well("namespaces");
    objects.borrow_and_update();
    board.well("namespaces");
    assert!(told(&objects).is_empty() && !objects.has_changed().unwrap());
}
