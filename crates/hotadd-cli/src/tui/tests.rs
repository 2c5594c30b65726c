//! Tests of the content of the TUI, and that the command's output and the TUI do not disturb each other.

use std::time::{Duration, Instant};

use hotadd::{HardwareId, State};
use hotadd_daemon::view::{AnswerCell, DriverRow, Note, RowState, View, Waiting, Weight};
use ratatui::buffer::Buffer;
use ratatui::layout::{Rect, Size};
use ratatui::style::Color;

use super::memory::Memory;
use super::{Ink, area, face, sequences};

const INK: Ink = Ink { colours: true, utf8: true };

const SMALL: Size = Size { width: 80, height: 24 };

fn answer(driver: &str, agreed: bool, micros: u64) -> AnswerCell {
    AnswerCell { driver: driver.to_owned(), agreed, took: Duration::from_micros(micros) }
}

fn note(text: &str, weight: Weight) -> Note {
    Note { text: text.to_owned(), weight }
}

fn view(active: u32, spare: u32, drivers: &[&str]) -> View {
    let spare = (active..active + spare).map(HardwareId);
    let mut view = View::new(
        "affinity",
        "make -j8".to_owned(),
        (0..active).map(|n| (HardwareId(n), n)),
        spare,
    );
    view.drivers = (0..)
        .zip(drivers)
        .map(|(level, name)| DriverRow { name: (*name).to_owned(), level, registered: true })
        .collect();
    view
}

/// Four processors: one was active at the start, one joined, one was refused, and one is being asked about.
fn busy() -> View {
    let mut view = view(1, 3, &["sample", "pool"]);
    view.epoch = 2;
    let row = |view: &mut View, id, state, answers: Vec<AnswerCell>| {
        let row = view.processors.get_mut(&HardwareId(id)).unwrap();
        row.state = state;
        row.answers = answers;
    };
    row(
        &mut view,
        1,
        RowState::Active,
        vec![answer("sample", true, 120), answer("pool", true, 2010)],
    );
    row(
        &mut view,
        2,
        RowState::Refused,
        vec![answer("sample", true, 110), answer("pool", false, 3000)],
    );
    row(&mut view, 3, RowState::Asking, vec![answer("sample", true, 90)]);
    let joined = view.processors.get_mut(&HardwareId(1)).unwrap();
    joined.index = Some(1);
    joined.took = Some(Duration::from_micros(5300));
    let why = "pool: no memory for the stack of one more";
    view.processors.get_mut(&HardwareId(2)).unwrap().why = Some(why.to_owned());
    view.waiting = Some(Waiting {
        driver: "pool".to_owned(),
        state: State::AddStart,
        id: HardwareId(3),
        since: view.began + Duration::from_millis(10_800),
    });
    view.notes =
        (0..9).map(|n| note(&format!("driver number {n} registered"), Weight::Plain)).collect();
    view.notes.push(note("processor 1 joined", Weight::Good));
    view.notes.push(note(&format!("processor 2 stays out: {why}"), Weight::Bad));
    view
}

fn with_load(mut view: View) -> View {
    let rates = [(0, 412.3e6), (1, 206.15e6)].map(|(id, rate)| (HardwareId(id), rate));
    view.rates = Some(rates.into_iter().collect());
    view
}

/// Twelve seconds after the start of the run.
fn now(view: &View) -> Instant {
    view.began + Duration::from_secs(12)
}

fn rows(buffer: &Buffer) -> Vec<String> {
    let row =
        |row: Rect| row.positions().map(|at| buffer[at].symbol().to_owned()).collect::<String>();
    buffer.area.rows().map(row).map(|text| text.trim_end().to_owned()).collect()
}

fn shown_after(memory: &Memory, view: &View, size: Size) -> Vec<String> {
    let shown = rows(&face::render(view, memory, area(view, size), now(view), INK));
    assert_eq!(shown.len(), usize::from(face::height(view, size)));
    shown
}

fn shown(view: &View, size: Size) -> Vec<String> {
    let mut memory = Memory::default();
    memory.observe(view);
    shown_after(&memory, view, size)
}

#[test]
fn each_processor_has_a_row_with_every_drivers_answer() {
    let expected = "
── make -j8 ──────────── affinity · 2 of 4 processors active · epoch 2 · 12 s ──
  cpu  index  state        sample     pool
    0      0  ● active
    1      1  ● active     ✓ 0.12 ms  ✓ 2.01 ms  joined in 5.30 ms
    2      –  ✕ refused    ✓ 0.11 ms  ✕ 3.00 ms  pool: no memory for the stack …
    3      –  … asking     ✓ 0.09 ms  ⠹ 1.2 s
  ⠹ waiting for pool: AddStart of processor 3, 1.2 s
  · driver number 8 registered
  + processor 1 joined
  ✕ processor 2 stays out: pool: no memory for the stack of one more";
    assert_eq!(shown(&busy(), SMALL), expected.trim_start().lines().collect::<Vec<_>>());
}

#[test]
fn h2_a_processor_unknown_at_the_start_gets_a_row_and_the_tui_grows() {
    let mut view = view(1, 0, &["sample"]);
    let mut memory = Memory::default();
    memory.observe(&view);
    let height = area(&view, SMALL).height;
    let hardware = hotadd::hardware::Simulated::new(1, 1).unwrap();
    hardware.unplug(HardwareId(1));
    let partition = hotadd::Partition::simulated(&hardware).unwrap();
    let (sender, events) = std::sync::mpsc::channel();
    let observe = move |event: &hotadd::Event| drop(sender.send(event.clone()));
    partition.observe(observe).unwrap().detach();
    hardware.plug(HardwareId(1));
    view.follow = Some(hotadd::Follow::Ask);
    for event in events.try_iter() {
        view.take(&event);
    }
    memory.observe(&view);
    assert_eq!(area(&view, SMALL).height, height + 1);
    let shown = shown_after(&memory, &view, SMALL);
    assert!(shown[3].starts_with("    1      –  "), "{}", shown.join("\n"));
    assert!(
        shown.iter().any(|row| row.ends_with("processor 1 appeared; all parties are asked")),
        "{}",
        shown.join("\n")
    );
}

#[test]
fn the_load_has_a_bar_for_each_processor_and_a_total() {
    let mut memory = Memory::default();
    let mut before = with_load(view(1, 3, &[]));
    before.rates.as_mut().unwrap().remove(&HardwareId(1));
    for _ in 0..9 {
        memory.observe(&before);
    }
    let view = with_load(busy());
    memory.observe(&view);
    let shown = shown_after(&memory, &view, SMALL);
    let expected = "  618.5 M/s  (1.5 x the first)
  cpu  index  state        sample     pool       throughput
    0      0  ● active                           ███████████████████  412.3 M/s
    1      1  ● active     ✓ 0.12 ms  ✓ 2.01 ms  █████████▌           206.2 M/s
    2      –  ✕ refused    ✓ 0.11 ms  ✕ 3.00 ms  pool: no memory for the stack …";
    let expected: Vec<_> = expected.lines().collect();
    assert_eq!(&shown[1..6], expected, "{}", shown.join("\n"));
}

#[test]
fn columns_shrink_for_more_drivers_or_a_narrow_window() {
    let mut view = busy();
    let names = ["gate", "log", "trace", "stats"];
    view.drivers.extend(names.map(|name| DriverRow {
        name: name.to_owned(),
        level: 9,
        registered: true,
    }));
    let expected = "  cpu  index  state        drivers
    0      0  ● active
    1      1  ● active     ✓ 2 in 2.13 ms          joined in 5.30 ms
    2      –  ✕ refused    ✕ pool 3.00 ms          pool: no memory for the stac…
    3      –  … asking     ⠹ pool 1.2 s";
    assert_eq!(shown(&view, SMALL)[1..6], expected.lines().collect::<Vec<_>>());

    let expected = "
── make -j8 ──── 2 of 4 active · 12 s ──
  cpu  state
    0  ● active
    1  ● active     joined in 5.30 ms
    2  ✕ refused    pool: no memory for…
    3  … asking     sample ✓ 0.09 ms  p…
  ⠹ waiting for pool: AddStart of proce…
  · driver number 8 registered
  + processor 1 joined
  ✕ processor 2 stays out: pool: no
    memory for the stack of one more";
    let shown = shown(&busy(), Size { width: 40, height: 20 });
    assert_eq!(shown, expected.trim_start().lines().collect::<Vec<_>>());
}

#[test]
fn the_cause_is_never_cut_off() {
    let mut view = busy();
    let cause = "processor 2 stays out: pool: there is no memory for the stack of one more worker, and the next one would take what is kept for the others, unbreakable0123456789012345678901234567890123456789end";
    view.notes.push(note(cause, Weight::Bad));
    view.notes.push(note("driver other registered", Weight::Plain));
    let whole = |shown: Vec<String>| {
        let from = shown.iter().position(|row| row.contains("stays out: pool: there")).unwrap();
        let text: String = shown[from..].iter().map(|row| row.trim_start()).collect();
        text.replace(' ', "")
    };
    for width in [40, 60, 80] {
        let shown = shown(&view, Size { width, height: 40 });
        assert!(whole(shown.clone()).contains("0123456789end"), "{width}: {}", shown.join("\n"));
    }
    // Text that does not fit into the TUI fits into the final text.
    let mut memory = Memory::default();
    memory.observe(&view);
    let at = area(&view, Size { width: 40, height: 12 });
    let more = face::unsaid(&view, at);
    assert!(more > 0, "the text does not fit into the TUI");
    let at = Rect { height: at.height + more, ..at };
    let left = rows(&face::render(&view, &memory, at, now(&view), INK));
    assert!(whole(left.clone()).contains("0123456789end"), "{}", left.join("\n"));
}

#[test]
fn without_utf_8_only_ascii_is_drawn() {
    let mut view = with_load(busy());
    view.title = "m\u{e4}ke".to_owned();
    let mut memory = Memory::default();
    memory.observe(&view);
    let ink = Ink { utf8: false, ..INK };
    let shown = rows(&face::render(&view, &memory, area(&view, SMALL), now(&view), ink));
    assert!(shown.iter().all(|row| row.is_ascii()), "{}", shown.join("\n"));
    let expected = "-- m?ke ";
    assert!(shown[0].starts_with(expected), "{}", shown[0]);
    assert!(
        shown.iter().any(|row| row.contains("x refused    + 0.11 ms  x 3.00 ms")),
        "{shown:#?}"
    );
}

#[test]
fn two_drivers_with_the_same_name_have_separate_answers() {
    let mut view = busy();
    for driver in &mut view.drivers {
        driver.name = "twin".to_owned();
    }
    for answer in view.processors.values_mut().flat_map(|row| &mut row.answers) {
        answer.driver = "twin".to_owned();
    }
    view.waiting.as_mut().unwrap().driver = "twin".to_owned();
    let shown = shown(&view, SMALL);
    assert!(shown[1].ends_with("twin       twin"), "{}", shown[1]);
    assert!(shown[3].contains("✓ 0.12 ms  ✓ 2.01 ms"), "{}", shown[3]);
    assert!(shown[5].ends_with("✓ 0.09 ms  ⠹ 1.2 s"), "{}", shown[5]);
}

#[test]
fn sixteen_processors_have_rows_and_leave_a_quarter_of_the_screen() {
    let shown = shown(&view(4, 12, &["sample"]), SMALL);
    assert_eq!(shown.len(), 18);
    assert!(shown[1].ends_with("state        sample"), "{}", shown[1]);
    assert_eq!(shown[17], "   15      –  ○ spare");
}

#[test]
fn two_thousand_processors_are_drawn_as_marks_and_those_with_problems_as_rows() {
    let mut view = view(1200, 848, &["sample", "pool"]);
    let mut memory = Memory::default();
    memory.observe(&view);
    for (id, state) in [
        (1300, RowState::Active),
        (1203, RowState::Refused),
        (1201, RowState::Asking),
        (7, RowState::Left),
        (2047, RowState::Uninvited),
    ] {
        view.processors.get_mut(&HardwareId(id)).unwrap().state = state;
        memory.observe(&view);
    }
    let shown = shown_after(&memory, &view, SMALL);
    let text = shown.join("\n");
    assert_eq!(shown.len(), 18, "{text}");
    let counts = "  4 per mark  ● 1200 active  ○ 844 spare  … 1 asking  ! 1 uninvited  ✕ 1 refused";
    assert_eq!(shown[1], counts, "{text}");
    assert_eq!(shown[2], format!("     0  ●↓{}", "●".repeat(62)), "{text}");
    assert_eq!(shown[6], format!("  1024  {}…{}", "●".repeat(44), "○".repeat(19)), "{text}");
    assert_eq!(shown[7], format!("  1280  {}◐{}", "○".repeat(5), "○".repeat(58)), "{text}");
    assert_eq!(shown[9], format!("  1792  {}!", "○".repeat(63)), "{text}");
    let details = "   cpu  index  state        sample     pool
  1201      –  … asking
  2047      –  ! uninvited
  1203      –  ✕ refused";
    assert_eq!(shown[10..14], details.lines().collect::<Vec<_>>(), "{text}");
}

#[test]
fn any_size_and_any_number_of_processors_can_be_drawn() {
    for processors in [4, 15, 16, 33, 100, 700, 2048] {
        let mut view = busy();
        let row = view.processors[&HardwareId(2)].clone();
        view.processors.extend((4..processors).map(|n| (HardwareId(n), row.clone())));
        for height in (10..70).step_by(5) {
            for width in (40..200).step_by(23) {
                let shown = shown(&view, Size { width, height });
                assert!(shown.len() < usize::from(height));
                let marks: usize = shown.iter().map(|row| row.matches('✕').count()).sum();
                assert!(marks > 0, "{}", shown.join("\n"));
            }
        }
        view = with_load(view);
        shown(&view, SMALL);
    }
}

#[test]
fn hostile_names_and_reasons_cannot_break_the_layout() {
    let evil = "\u{1b}[2J\u{9b}H\r\n\u{7}\u{202e}\u{200b}x";
    let mut view = busy();
    view.title = evil.to_owned();
    view.drivers[1].name = evil.to_owned();
    view.processors.get_mut(&HardwareId(2)).unwrap().why = Some(evil.repeat(1000));
    view.waiting.as_mut().unwrap().driver = evil.to_owned();
    view.notes = vec![note(evil, Weight::Bad)];
    let shown = shown(&view, SMALL).join("\n");
    assert!(
        shown.contains(
            "waiting for \u{fffd}[2J\u{fffd}H\u{fffd} \u{fffd}\u{fffd}\u{fffd}x: AddStart"
        ),
        "{shown}"
    );
    assert!(!shown.contains(|c: char| c != '\n' && c.is_control()), "{shown}");
}

#[test]
fn the_ink_without_colours_draws_no_colours() {
    let view = busy();
    let at = area(&view, SMALL);
    let coloured = |colours| {
        let buffer =
            face::render(&view, &Memory::default(), at, now(&view), Ink { colours, ..INK });
        buffer.content.iter().any(|cell| cell.fg != Color::Reset)
    };
    assert!(coloured(true));
    assert!(!coloured(false));
}

fn cells(number: u16) -> std::num::NonZeroU16 {
    number.try_into().unwrap()
}

/// A terminal with a TUI on it.
struct Screen {
    parser: vt100::Parser,
    view: View,
    size: Size,
}

impl Screen {
    fn open(before: &str) -> Self {
        let mut screen = Self {
            parser: vt100::Parser::new(cells(SMALL.height), cells(SMALL.width), 99),
            view: busy(),
            size: SMALL,
        };
        screen.command(before);
        screen.take(&sequences::open(SMALL, face::height(&screen.view, SMALL)));
        screen.paint();
        screen
    }

    fn take(&mut self, bytes: &[u8]) {
        self.parser.process(bytes);
    }

    /// Processes a command's output as the terminal driver does.
    fn command(&mut self, text: &str) {
        self.take(text.replace('\n', "\r\n").as_bytes());
    }

    fn tui(&self) -> Buffer {
        let view = &self.view;
        face::render(view, &Memory::default(), area(view, self.size), now(view), INK)
    }

    fn paint(&mut self) {
        let bytes = sequences::paint(&self.tui()).unwrap();
        self.take(&bytes);
    }

    fn resize(&mut self, width: u16, height: u16) {
        self.size = Size { width, height };
        self.parser.screen_mut().set_size(cells(height), cells(width));
        self.take(&sequences::replace(self.size, face::height(&self.view, self.size)));
        self.paint();
    }

    fn rows(&self) -> Vec<String> {
        self.parser.screen().rows(0, self.size.width).map(|row| row.trim_end().to_owned()).collect()
    }

    /// The rows above the TUI. Checks the TUI first.
    fn above(&self) -> Vec<String> {
        let mut above = self.rows();
        let tui = rows(&self.tui());
        let below = above.split_off(above.len() - tui.len());
        assert_eq!(below, tui);
        above
    }
}

#[test]
fn the_commands_output_scrolls_above_the_tui() {
    let mut screen = Screen::open("$ hotadd run\n");
    assert_eq!(screen.above()[..2], ["$ hotadd run", ""]);
    for n in 0..50 {
        screen.command(&format!("line {n}\n"));
        let before = screen.tui();
        screen.view.epoch += 1;
        let update = sequences::update(&before, &screen.tui()).unwrap();
        screen.take(&update);
        assert!(screen.above().contains(&format!("line {n}")));
    }
    assert_eq!(screen.above()[11..], ["line 48", "line 49", ""]);
}

#[test]
fn earlier_output_moves_up_and_an_unfinished_row_continues() {
    let many: String = (0..40).map(|n| format!("old {n}\n")).collect();
    let mut screen = Screen::open(&(many + "\x1b[31munfin"));
    screen.command("ished");
    let above = screen.above();
    assert_eq!(above[above.len() - 2..], ["old 39", "unfinished"]);
    let at = u16::try_from(above.len() - 1).unwrap();
    let cell = screen.parser.screen().cell(at, 9).unwrap();
    assert_eq!(cell.fgcolor(), vt100::Color::Idx(1), "the command's own colour");
}

#[test]
fn a_resized_terminal_moves_the_tui_without_leftovers() {
    let mut screen = Screen::open("$ hotadd run\n");
    screen.command("one\ntwo");
    for (width, height) in [(120, 40), (60, 20), (80, 12), (100, 30)] {
        screen.resize(width, height);
        let above = screen.above();
        let used: Vec<_> = above.iter().filter(|row| !row.is_empty()).collect();
        assert_eq!(used, ["$ hotadd run", "one", "two"], "{}", screen.rows().join("\n"));
    }
    screen.command(" and three");
    assert_eq!(screen.above()[2], "two and three");
}

#[test]
fn at_the_end_the_tui_becomes_text_and_the_terminal_is_restored() {
    for (last, row) in [("done\n", 2), ("not quite", 2), (&*"x".repeat(80), 2), ("", 1)] {
        let mut screen = Screen::open("$ hotadd run\n");
        screen.command(last);
        let mut bytes = sequences::release(SMALL);
        bytes.extend(sequences::text(&screen.tui()));
        screen.take(&bytes);
        let tui = rows(&screen.tui());
        let rows = screen.rows();
        assert_eq!(rows[row..row + tui.len()], tui, "{}", rows.join("\n"));
        let below = u16::try_from(row + tui.len()).unwrap();
        assert_eq!(screen.parser.screen().cursor_position(), (below, 0));
        assert!(rows[usize::from(below)..].iter().all(String::is_empty));
        screen.command(&"more\n".repeat(30));
        assert_eq!(screen.rows()[22..], ["more", ""], "the whole screen scrolls again");
    }
}
