//! What keys do.

use ratatui::crossterm::event::KeyCode::{
    BackTab, Down, End, Enter, Esc, Home, Left, PageDown, Right, Tab, Up,
};

use super::*;
use crate::watch::cursor::Pane;
use crate::watch::model::{Action, Popup};

#[test]
fn arrows_and_hjkl_move_between_processors() {
    let (mut model, _) = model(&Fake::of(130, 0), USUAL);
    let at = |model: &Model| model.current().cursor.processor.unwrap();
    for (keys, to) in [
        (&[Right, Right][..], 2),
        (&[Left], 1),
        (&[Down], 65),
        (&[Down], 129),
        (&[Up, Up], 1),
        (&[End], 129),
        (&[Right], 129),
        (&[Home, Left], 0),
        (&[PageDown], 128),
    ] {
        press(&mut model, keys);
        assert_eq!(at(&model), to, "{keys:?}");
    }
    types(&mut model, "kklljh");
    assert_eq!(at(&model), 65);
}

#[test]
fn the_cursor_goes_on_in_the_next_part_and_back() {
    let (mut model, _) = model(&Fake::busy(), USUAL);
    let pane = |model: &Model| model.current().cursor.pane;
    press(&mut model, &[Down, Down]);
    assert_eq!((pane(&model), model.current().cursor.party), (Pane::Parties, 0));
    press(&mut model, &[Down, Down]);
    assert_eq!((pane(&model), model.current().cursor.party), (Pane::Parties, 2));
    press(&mut model, &[Down]);
    assert_eq!((pane(&model), model.current().cursor.event), (Pane::History, None));
    press(&mut model, &[Down, Down]);
    assert_eq!(model.current().cursor.event, Some(9), "the third from the latest, number 11");
    press(&mut model, &[Up]);
    assert_eq!(model.current().cursor.event, Some(10));
    press(&mut model, &[Up]);
    assert_eq!((pane(&model), model.current().cursor.event), (Pane::History, None));
    press(&mut model, &[Up, Up, Up, Up]);
    assert_eq!(pane(&model), Pane::Processors);
    press(&mut model, &[Up, Up]);
    assert_eq!(pane(&model), Pane::Processors, "nothing is above");
    types(&mut model, "3");
    press(&mut model, &[End, Down, Down]);
    assert_eq!(model.current().cursor.event, Some(0), "nothing is before the first event");
}

#[test]
fn enter_opens_the_details_of_what_is_chosen_and_esc_closes_them() {
    let (mut model, _) = model(&Fake::busy(), USUAL);
    for (keys, popup) in [
        ("1", Popup::Processor(0)),
        ("2", Popup::Party(0)),
        ("3", Popup::Event(11)),
        ("3j", Popup::Event(10)),
    ] {
        types(&mut model, keys);
        press(&mut model, &[Enter]);
        assert_eq!(model.popup, Some(popup));
        press(&mut model, &[Esc]);
        assert_eq!(model.popup, None);
    }
}

#[test]
fn a_window_scrolls_no_further_than_its_text() {
    let (mut model, now) = model(&Fake::busy(), Size { width: 40, height: 12 });
    types(&mut model, "?");
    for _ in 0..200 {
        press(&mut model, &[Down]);
    }
    let last = rows(&model, now, INK);
    press(&mut model, &[Up]);
    assert_ne!(rows(&model, now, INK), last, "the first key up moves it");
    press(&mut model, &[Home]);
    assert_eq!(model.scroll, 0);
    assert_eq!(types(&mut model, "q"), None, "it closes the window, not the program");
    assert_eq!(model.popup, None);
}

#[test]
fn a_and_r_act_on_the_chosen_processor_at_once() {
    let (mut model, _) = model(&Fake::of(1, 3), USUAL);
    press(&mut model, &[Right, Right]);
    assert_eq!(types(&mut model, "a"), Some(Command::Act(0, Action::Add(2))));
    assert_eq!(types(&mut model, "r"), Some(Command::Act(0, Action::Rehearse(2))));
    assert_eq!(types(&mut model, "a"), None, "it is being added");
    let said = model.current().message.clone().unwrap().text;
    assert_eq!(said, "adding 2 already");
}

#[test]
fn d_removes_only_after_a_y() {
    let (mut model, _) = model(&Fake::of(3, 0), USUAL);
    press(&mut model, &[Right]);
    for key in [KeyCode::Char('n'), Esc, Enter, KeyCode::Char('d'), Tab, KeyCode::Char(' ')] {
        types(&mut model, "d");
        assert_eq!(model.popup, Some(Popup::Removing(1)));
        assert_eq!(press(&mut model, &[key]), None, "{key:?}");
        assert_eq!(model.popup, None, "{key:?}");
    }
    assert_eq!(types(&mut model, "dy"), Some(Command::Act(0, Action::Remove(1))));
}

#[test]
fn requests_go_to_the_partition_that_is_shown() {
    let names = ["a", "b"].map(str::to_owned);
    let (mut model, now) = (Model::new(&names, USUAL, TimeZone::UTC), Instant::now());
    Fake::of(1, 1).tell(&mut model, 0, now);
    Fake::of(1, 1).tell(&mut model, 1, now);
    press(&mut model, &[Tab]);
    assert_eq!(types(&mut model, "a"), Some(Command::Act(1, Action::Add(0))));
    press(&mut model, &[BackTab, Right]);
    assert_eq!(types(&mut model, "a"), Some(Command::Act(0, Action::Add(1))));
}

#[test]
fn no_more_requests_are_made_than_a_connection_may_have() {
    let (mut model, _) = model(&Fake::of(1, 30), USUAL);
    let mut made = 0;
    for _ in 0..20 {
        made += usize::from(types(&mut model, "la").is_some());
    }
    assert_eq!(made, 8);
    let said = model.current().message.clone().unwrap().text;
    assert!(said.contains("8 requests are in progress"), "{said}");
}

#[test]
fn q_quits_and_control_keys_interrupt_suspend_and_redraw() {
    let (mut model, _) = model(&Fake::busy(), USUAL);
    assert_eq!(types(&mut model, "q"), Some(Command::Quit));
    let mut control =
        |key| input::key(&mut model, KeyEvent::new(KeyCode::Char(key), KeyModifiers::CONTROL));
    assert_eq!(control('c'), Some(Command::Interrupt));
    assert_eq!(control('z'), Some(Command::Suspend));
    assert_eq!(control('l'), Some(Command::Redraw));
    types(&mut model, "d");
    let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(input::key(&mut model, interrupt), Some(Command::Interrupt), "in a window, too");
}
