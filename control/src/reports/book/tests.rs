//! What is written, and what is not, as readings, wishes and answers come in any order.

use super::*;
use crate::objects::ObjectKey;
use proptest::prelude::*;

const NAME: &str = "example.com/name";

fn about() -> About {
    About { subject: Subject::service(&ObjectKey::new("default", "web")), uid: Some("1".into()) }
}

fn change(value: Option<u8>) -> Change {
    Change::Annotation(NAME, value.map(|value| value.to_string()))
}

fn notice(note: &str) -> Notice {
    Notice::normal("Tested", note)
}

#[test]
fn what_is_said_already_is_not_written() {
    let mut book = Book::default();
    book.want(&about().subject, [change(Some(1))]);
    assert_eq!(book.writes(), [], "nobody has read it");
    book.observe(&about(), [change(Some(1))]);
    book.want(&about().subject, [change(Some(1))]);
    assert_eq!(book.writes(), []);
    book.want(&about().subject, [change(Some(2))]);
    let [write] = book.writes().try_into().unwrap();
    assert_eq!(write.changes, [change(Some(2))]);
    assert_eq!(book.finished(&write, 1), None);
    book.observe(&about(), [change(Some(1))]);
    assert_eq!(book.writes(), [], "that is as it was before the write");
    book.observe(&about(), [change(Some(3))]);
    assert_eq!(book.writes().len(), 1, "that is somebody else's");
}

#[test]
fn a_change_that_was_never_read_is_found_in_the_end() {
    let mut book = Book::default();
    book.observe(&about(), [change(None)]);
    book.want(&about().subject, [change(Some(1))]);
    let [write] = book.writes().try_into().unwrap();
    book.finished(&write, 1);
    // Written, and removed again by somebody: it reads as before.
    book.observe(&about(), [change(None)]);
    assert_eq!(book.writes(), []);
    book.distrust();
    assert_eq!(book.writes().len(), 1);
}

#[test]
fn events_are_told_once_and_after_what_they_are_about() {
    let mut book = Book::default();
    book.observe(&about(), []);
    book.want(&about().subject, [change(Some(1))]);
    book.tell(&about().subject, notice("a"));
    book.tell(&about().subject, notice("b"));
    let [write] = book.writes().try_into().unwrap();
    assert_eq!(write.changes, [change(Some(1)), Change::Event(notice("a")), Change::Event(notice("b"))]);
    book.tell(&about().subject, notice("c"));
    assert_eq!(book.writes(), [], "one at a time");
    let next = book.finished(&write, 2).unwrap();
    assert_eq!(next.changes, [Change::Event(notice("b")), Change::Event(notice("c"))]);
    assert_eq!(book.finished(&next, 2), None);
}

#[test]
fn another_object_of_the_name_begins_anew() {
    let mut book = Book::default();
    book.observe(&about(), [change(None)]);
    book.want(&about().subject, [change(Some(1))]);
    book.tell(&about().subject, notice("a"));
    let [write] = book.writes().try_into().unwrap();
    let other = About { uid: Some("2".into()), ..about() };
    book.observe(&other, [change(None)]);
    assert_eq!(book.finished(&write, 2), None);
    assert_eq!(book.writes(), [], "nothing is wanted of it yet");
    book.want(&other.subject, [change(Some(1))]);
    assert_eq!(book.writes()[0].about, other);
}

#[derive(Debug, Clone)]
enum Step {
    Want(u8),
    /// The API server takes what is being written, or not.
    Answer(bool),
    /// Somebody else writes.
    Overwrite(u8),
    /// What happened up to now is read.
    Read,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0u8..4).prop_map(Step::Want),
        any::<bool>().prop_map(Step::Answer),
        (0u8..4).prop_map(Step::Overwrite),
        Just(Step::Read),
    ]
}

proptest! {
    /// Whatever happens, once it is quiet and everything has been read and looked over, the object says what it is to say.
    #[test]
    fn in_the_end_it_says_what_is_wanted(steps in proptest::collection::vec(step(), 0..60)) {
        let (mut book, subject) = (Book::default(), about().subject);
        let (mut server, mut wanted, mut under_way) = (Some(0), 0, None::<Write>);
        book.observe(&about(), [change(server)]);
        book.want(&subject, [change(Some(wanted))]);
        let answer = |book: &mut Book, server: &mut Option<u8>, write: Write, is_made: bool| {
            if is_made && let Change::Annotation(_, value) = &write.changes[0] {
                *server = value.as_ref().and_then(|value| value.parse().ok());
            }
            book.finished(&write, usize::from(is_made))
        };
        for step in steps {
            match step {
                Step::Want(value) => {
                    wanted = value;
                    book.want(&subject, [change(Some(value))]);
                }
                Step::Answer(is_made) => {
                    if let Some(write) = under_way.take() {
                        under_way = answer(&mut book, &mut server, write, is_made);
                    }
                }
                Step::Overwrite(value) => server = Some(value),
                Step::Read => book.observe(&about(), [change(server)]),
            }
            let writes = book.writes();
            prop_assert!(writes.len() + usize::from(under_way.is_some()) <= 1, "two at a time");
            under_way = under_way.or_else(|| writes.into_iter().next());
        }
        for _ in 0..3 {
            while let Some(write) = under_way.take() {
                under_way = answer(&mut book, &mut server, write, true);
            }
            book.observe(&about(), [change(server)]);
            book.distrust();
            under_way = book.writes().into_iter().next();
        }
        prop_assert_eq!(server, Some(wanted));
        prop_assert_eq!(under_way, None);
    }
}
