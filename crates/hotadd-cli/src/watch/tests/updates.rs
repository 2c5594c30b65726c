//! What updates of partitions change.

use std::time::Duration;

use super::*;
use crate::watch::model::{Action, Connection, KEPT, Outcome, Popup};

#[test]
fn a_partition_that_ends_is_shown_as_ended_with_what_was_known() {
    let (mut model, now) = model(&Fake::busy(), USUAL);
    model.take(0, Update::Ended(NOON + 9000, "it has ended".to_owned()), now);
    // A later attempt to connect does not change since when.
    model.take(0, Update::Ended(NOON + 10_000, "nothing listens".to_owned()), now);
    shows("ended", &model, now, INK);
    assert_eq!(types(&mut model, "a"), None);
    let said = model.current().message.clone().unwrap().text;
    assert_eq!(said, "demo has ended");
}

#[test]
fn a_partition_that_is_back_is_followed_again() {
    let (mut model, now) = model(&Fake::busy(), USUAL);
    model.take(0, Update::Ended(NOON, "it has ended".to_owned()), now);
    Fake::of(3, 1).tell(&mut model, 0, now);
    let watched = model.current();
    assert_eq!(watched.connection, Connection::Live);
    assert_eq!(
        (watched.history.len(), watched.processors.len()),
        (0, 4),
        "its own history and set"
    );
}

#[test]
fn a_partition_that_does_not_answer_is_shown_as_such_until_it_does() {
    let (mut model, now) = model(&Fake::busy(), USUAL);
    model.take(0, Update::Silent("its process 7 is stopped".to_owned()), now);
    let shown = rows(&model, now, INK);
    assert!(shown[0].ends_with("does not answer"), "{}", shown[0]);
    assert!(shown.iter().any(|row| row == " its process 7 is stopped"), "{shown:#?}");
    model.take(0, Update::Waiting(vec![]), now);
    assert!(rows(&model, now, INK)[0].ends_with("active · epoch 7"));
}

#[test]
fn waits_grow_between_updates() {
    let (model, now) = model(&Fake::busy(), USUAL);
    let row =
        |now| rows(&model, now, INK).into_iter().find(|row| row.contains("waiting for")).unwrap();
    assert!(row(now).contains("waiting for pool: AddStart of 3, 1.2 s"), "{}", row(now));
    let later = row(now + Duration::from_secs(3));
    assert!(later.contains("waiting for pool: AddStart of 3, 4.2 s"), "{later}");
}

#[test]
fn the_history_is_limited_and_the_cursor_stays_on_its_event() {
    let (mut model, now) = model(&Fake { events: vec![], ..Fake::busy() }, USUAL);
    let event = |id: u64| json!({"event":"joined","id":id,"time":NOON});
    model.take(0, Update::Events(0, (0..10).map(event).collect()), now);
    types(&mut model, "3jj");
    assert_eq!(model.current().cursor.event, Some(7));
    model.take(0, Update::Events(10, (10..20).map(event).collect()), now);
    assert_eq!(input::event(&model), Some(7), "events that come do not move it");
    model.take(0, Update::Events(20, (20..5000).map(event).collect()), now);
    let watched = model.current();
    assert_eq!((watched.history.len(), watched.first), (KEPT, 4000));
    assert_eq!(input::event(&model), Some(4000), "its event is gone, so it is on the oldest one");
    assert_eq!(watched.event(4000), Some(&event(4000)));
}

#[test]
fn events_that_were_missed_begin_the_history_anew() {
    let (mut model, now) = model(&Fake::busy(), USUAL);
    model.take(0, Update::Events(500, vec![json!({"event":"joined","id":9})]), now);
    let watched = model.current();
    assert_eq!((watched.first, watched.history.len()), (500, 1), "no gap is hidden");
    model.take(0, Update::Events(u64::MAX, vec![Value::Null; 3]), now);
    assert_eq!(model.current().history.len(), 3, "a hostile number does no harm");
    rows(&model, now, INK);
}

#[test]
fn a_rehearsals_window_does_not_cover_another_one_or_another_partition() {
    let names = ["a", "b"].map(str::to_owned);
    let (mut model, now) = (Model::new(&names, USUAL, TimeZone::UTC), Instant::now());
    Fake::of(1, 1).tell(&mut model, 0, now);
    Fake::of(1, 1).tell(&mut model, 1, now);
    let done = || Update::Done(Action::Rehearse(1), Outcome::Answers(vec![]));
    model.take(1, done(), now);
    assert_eq!(model.popup, None, "the user looks at the other partition");
    types(&mut model, "d");
    model.take(0, done(), now);
    assert_eq!(model.popup, Some(Popup::Removing(0)), "a key must not answer what it does not ask");
    types(&mut model, "n");
    model.take(0, done(), now);
    assert_eq!(model.popup, Some(Popup::Rehearsal));
}

#[test]
fn a_processor_that_is_no_longer_known_leaves_the_map_and_the_cursor() {
    let (mut model, now) = model(&Fake::of(2, 3), USUAL);
    press(&mut model, &[KeyCode::End]);
    assert_eq!(model.current().cursor.processor, Some(4));
    Fake::of(2, 1).tell(&mut model, 0, now);
    assert_eq!(model.current().processors.keys().copied().collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(model.current().cursor.processor, Some(0));
}
