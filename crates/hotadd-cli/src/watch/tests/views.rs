//! What is shown.

use std::time::{Duration, Instant};

use hotadd_wire::AnswerRow;
use ratatui::crossterm::event::KeyCode;
use ratatui::style::{Color, Modifier};

use super::*;
use crate::watch::model::{Action, Outcome, Popup};
use crate::watch::state::CpuState;

#[test]
fn a_screen_of_80_columns_has_processors_parties_waits_and_history() {
    let (model, now) = model(&Fake::busy(), USUAL);
    shows("usual", &model, now + Duration::from_millis(500), INK);
}

#[test]
fn the_screen_of_the_documentation_is_the_usual_one() {
    let page = include_str!("../../../../../docs/watch.md");
    let shown = page.split("```text\n").nth(1).and_then(|rest| rest.split("```").next());
    assert_eq!(shown, Some(include_str!("screens/usual.txt")));
}

#[test]
fn a_screen_of_40_columns_has_all_parts() {
    let (model, now) = model(&Fake::busy(), NARROW);
    shows("narrow", &model, now, INK);
}

#[test]
fn without_utf_8_only_ascii_is_shown() {
    let (mut model, now) = model(&Fake::busy(), USUAL);
    for keys in ["", "?"] {
        types(&mut model, keys);
        let shown = rows(&model, now, Ink { utf8: false, ..INK });
        assert!(shown.iter().all(|row| row.is_ascii()), "{}", shown.join("\n"));
    }
    press(&mut model, &[KeyCode::Esc]);
    shows("ascii", &model, now, Ink { utf8: false, ..INK });
}

#[test]
fn without_colours_nothing_is_coloured_and_the_cursor_is_still_visible() {
    let (model, now) = model(&Fake::busy(), USUAL);
    let coloured = |colours| {
        let cells = view::render(&model, now, Ink { colours, ..INK }).content;
        let reversed = cells.iter().any(|cell| cell.modifier.contains(Modifier::REVERSED));
        (cells.iter().any(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset), reversed)
    };
    assert_eq!(coloured(true), (true, true));
    assert_eq!(coloured(false), (false, true));
}

#[test]
fn each_state_has_a_sign_of_its_own_also_in_ascii() {
    let fake = Fake {
        active: vec![0],
        unagreed: vec![1],
        gone: vec![6],
        proposed: vec![2, 3],
        waiting: vec![("pool".to_owned(), "AddStart".to_owned(), 3, 0)],
        absent: vec![refusal(4, "pool", "no")],
        candidates: vec![4, 5],
        ..Fake::busy()
    };
    let (model, now) = model(&fake, USUAL);
    let states: Vec<_> = model.current().processors.values().map(|cpu| cpu.state).collect();
    use CpuState::{Absent, Active, Adding, Present, Refused, Unagreed, Waiting};
    assert_eq!(states, [Active, Unagreed, Adding, Waiting, Refused, Present, Absent]);
    for ink in [INK, Ink { utf8: false, ..INK }] {
        let shown = rows(&model, now, ink);
        // Those with an index are in group 0.
        let row = |label: &str| {
            let row = shown.iter().find(|row| row.contains(label)).unwrap();
            row.split(label).nth(1).unwrap().trim().to_owned()
        };
        let signs: String = [row("group 0"), row("no group")].concat();
        let mut each: Vec<char> = signs.chars().collect();
        each.sort_unstable();
        each.dedup();
        assert_eq!((signs.chars().count(), each.len()), (7, 7), "{signs}");
    }
}

#[test]
fn real_processors_are_shown_by_group_node_and_core() {
    let mut fake = Fake::of(66, 6);
    for id in 0..72 {
        let place = Place { node: Some(id / 24), package: Some(id / 24), core: Some(id % 24 / 2) };
        fake.places.insert(id, place);
    }
    let (model, now) = model(&fake, USUAL);
    shows("topology", &model, now, INK);
    let (model, now) = super::model(&fake, NARROW);
    shows("topology-narrow", &model, now, INK);
}

#[test]
fn processors_without_a_known_place_have_a_row_for_each_group() {
    let (model, now) = model(&Fake::of(130, 20), USUAL);
    let shown = rows(&model, now, INK);
    let full = "●".repeat(64);
    let expected = [
        format!("   group 0  {full}"),
        format!("   group 1  {full}"),
        "   group 2  ●●".to_owned(),
        format!("   no group {}", "○".repeat(20)),
    ];
    assert_eq!(shown[2..6], expected, "{}", shown.join("\n"));
}

#[test]
fn two_thousand_processors_scroll_with_the_cursor() {
    let (mut model, now) = model(&Fake::of(2048, 0), USUAL);
    assert!(rows(&model, now, INK)[2].starts_with("   group 0 "));
    press(&mut model, &[KeyCode::End]);
    let shown = rows(&model, now, INK);
    assert!(shown.iter().any(|row| row.starts_with("   group 31")), "{}", shown.join("\n"));
    assert!(shown.iter().any(|row| row == " processor 2047: active"), "{}", shown.join("\n"));
}

#[test]
fn a_thousand_parties_and_events_scroll_with_the_cursor() {
    let mut fake = Fake::busy();
    fake.parties = (0..1000).map(|nth| (nth, format!("party {nth}"), 0, true)).collect();
    fake.events = (0..1000).map(|id| json!({"event":"joined","id":id,"time":NOON})).collect();
    let (mut model, now) = model(&fake, USUAL);
    types(&mut model, "2");
    press(&mut model, &[KeyCode::End]);
    assert!(rows(&model, now, INK).iter().any(|row| row.starts_with(" > party 999 ")));
    types(&mut model, "3");
    press(&mut model, &[KeyCode::End]);
    let shown = rows(&model, now, INK);
    assert!(shown.iter().any(|row| row == " > 12:00:00 joined processor 0"), "{shown:#?}");
}

#[test]
fn l4_a_missing_party_is_shown_with_its_reason() {
    let mut fake = Fake::busy();
    fake.parties.remove(2);
    let reason = "its process ended with status 1".to_owned();
    fake.missing = vec![("late".to_owned(), (NOON + 500) * 1000, 0xC000_014B, reason)];
    let (mut model, now) = model(&fake, USUAL);
    shows("missing", &model, now, INK);
    types(&mut model, "2");
    press(&mut model, &[KeyCode::Enter]);
    shows("missing-party", &model, now, INK);
}

#[test]
fn a_processors_details_have_the_refusal_and_the_last_transaction() {
    let (mut model, now) = model(&Fake::busy(), USUAL);
    press(&mut model, &[KeyCode::Right, KeyCode::Right, KeyCode::Right, KeyCode::Enter]);
    assert_eq!(model.popup, Some(Popup::Processor(2)));
    shows("processor", &model, now, INK);
}

#[test]
fn a_partys_details_have_its_answers() {
    let (mut model, now) = model(&Fake::busy(), USUAL);
    types(&mut model, "2j");
    press(&mut model, &[KeyCode::Enter]);
    shows("party", &model, now, INK);
}

#[test]
fn help_names_every_key_and_sign() {
    let (mut model, now) = model(&Fake::busy(), USUAL);
    types(&mut model, "?");
    shows("help", &model, now, INK);
}

#[test]
fn a10_a_rehearsal_shows_who_would_refuse_and_why() {
    let (mut model, now) = model(&Fake::busy(), USUAL);
    let answer = |name: &str, agreed, reason: &str| -> AnswerRow {
        let status = if agreed { 0 } else { 0xC000_009A };
        (1, name.to_owned(), 1, agreed, status, reason.to_owned(), 400)
    };
    let answers = vec![answer("sample", true, ""), answer("pool", false, "no memory for it")];
    model.take(0, Update::Done(Action::Rehearse(4), Outcome::Answers(answers)), now);
    shows("rehearsal", &model, now, INK);
}

#[test]
fn a_failed_request_is_shown_whole() {
    let (mut model, now) = model(&Fake::busy(), NARROW);
    let why =
        "pool refused to add processor 4: no memory for it (STATUS_NO_MEMORY, 0xC0000017) (A3)";
    model.take(0, Update::Done(Action::Add(4), Outcome::Failed(why.to_owned())), now);
    let shown = rows(&model, now, INK);
    let text: String = shown[20..23].iter().map(|row| row.trim()).collect::<Vec<_>>().join(" ");
    assert_eq!(text, why, "{}", shown.join("\n"));
}

#[test]
fn several_partitions_are_named_and_one_is_shown() {
    let names = ["demo", "web", "db"].map(str::to_owned);
    let (mut model, now) = (Model::new(&names, USUAL, TimeZone::UTC), Instant::now());
    Fake::busy().tell(&mut model, 0, now);
    Fake::of(2, 0).tell(&mut model, 1, now);
    let first = |model: &Model| rows(model, now, INK)[0].split("  ").next().unwrap().to_owned();
    assert_eq!(first(&model), "[demo]");
    press(&mut model, &[KeyCode::Tab]);
    assert!(rows(&model, now, INK)[0].starts_with(" demo  [web]  db  "));
    press(&mut model, &[KeyCode::Tab, KeyCode::Tab, KeyCode::BackTab]);
    assert!(rows(&model, now, INK)[0].contains("[db]"), "{}", rows(&model, now, INK)[0]);
    assert!(rows(&model, now, INK)[0].ends_with("connecting"));
}

#[test]
fn a_terminal_that_is_too_small_says_so() {
    for (width, height) in [(39, 24), (80, 9), (20, 5), (1, 1), (0, 0)] {
        let (model, now) = model(&Fake::busy(), Size { width, height });
        let shown = rows(&model, now, INK).join(" ");
        if width >= 20 && height >= 5 {
            assert!(shown.starts_with("The terminal is too small"), "{shown}");
        }
    }
}

#[test]
fn any_size_can_be_drawn_with_any_window() {
    for fake in [Fake::busy(), Fake::of(700, 300), Fake { parties: vec![], ..Fake::of(1, 0) }] {
        for (width, height) in [(40, 10), (41, 11), (60, 13), (80, 24), (200, 60)] {
            let (mut model, now) = model(&fake, Size { width, height });
            for keys in ["", "?", "", "1", "d"] {
                types(&mut model, keys);
                assert_eq!(rows(&model, now, INK).len(), usize::from(height));
                press(&mut model, &[KeyCode::Esc]);
            }
            for pane in ["1", "2", "3"] {
                types(&mut model, pane);
                press(&mut model, &[KeyCode::Enter]);
                rows(&model, now, INK);
                press(&mut model, &[KeyCode::Esc, KeyCode::End]);
                rows(&model, now, INK);
            }
        }
    }
}

#[test]
fn hostile_texts_are_cleaned_and_cut() {
    let evil = "\u{1b}[2J\u{9b}H\r\n\u{7}\u{202e}\u{200b}x".repeat(300);
    let mut fake = Fake::busy();
    fake.parties[1].1.clone_from(&evil);
    fake.missing = vec![(evil.clone(), u64::MAX, 0, evil.clone())];
    fake.waiting[0].0.clone_from(&evil);
    fake.absent = vec![refusal(2, &evil, &evil)];
    let event = json!({"event": evil, "driver": evil, "reason": evil, "time": u64::MAX, evil.clone(): [evil]});
    fake.events = vec![event, Value::Null, json!([1]), json!({"event": {"event": 1}, "id": "x"})];
    let (mut model, now) = model(&fake, USUAL);
    let failed = Outcome::Failed(evil.clone());
    model.take(0, Update::Done(Action::Add(4), failed), now);
    for pane in ["1ll", "2", "2j", "3", "3jjjj"] {
        types(&mut model, pane);
        for window in [false, true] {
            if window {
                press(&mut model, &[KeyCode::Enter]);
            }
            let shown = rows(&model, now, INK).join("");
            let hidden = |c: char| c.is_control() || c == '\u{202e}' || c == '\u{200b}';
            assert!(!shown.contains(hidden), "{pane}: {shown}");
        }
        press(&mut model, &[KeyCode::Esc]);
    }
}
