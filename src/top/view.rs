//! How `coproc top` looks: a model on a screen of any size. Pure.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line as Words, Span};
use ratatui::widgets::{Block, Clear, Paragraph, Row, Table, TableState};

use super::model::{Asks, Link, Model, Process};

/// What a screen has to have at least.
const LEAST: (u16, u16) = (24, 4);
/// How wide a screen has to be for events beside the log.
const WIDE: u16 = 90;

/// A column: its title, its width, and how wide a screen has to be to have it.
type Column = (&'static str, u16, u16, fn(&Process) -> String);

const COLUMNS: [Column; 7] = [
    ("NAME", 0, 0, |one| one.name.clone()),
    ("STATE", 10, 0, state),
    ("PID", 8, 34, |one| or_dash(one.pid)),
    ("CPU %", 6, 44, |one| or_dash(one.cpu.map(|cpu| format!("{cpu:.1}")))),
    ("MEMORY", 10, 54, |one| or_dash(one.memory.map(bytes))),
    ("RESTARTS", 8, 66, |one| or_dash(one.restarts)),
    ("UPTIME", 14, 80, |one| or_dash(one.uptime.map(uptime))),
];

const KEYS: &str = "r restart  s stop/start  b background  l logs of one  / search  ? help  q quit";

const HELP: &str = "\
up, k / down, j   choose a process
r                 restart it
s                 stop it, or start it
b                 hold events no more, or again
l                 its log alone, or that of all
/                 search the log; enter keeps it
escape            end the search, show the newest
page up / down    scroll the log
home, end         its oldest lines, its newest
q, ctrl-c         leave

r and s ask before they stop what runs.";

/// Draws it; without `colour` in bold and reverse alone. How many lines of the log there was room for.
pub(crate) fn draw(frame: &mut Frame<'_>, model: &Model, colour: bool) -> usize {
    let area = frame.area();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        frame.render_widget(Paragraph::new("too small"), area);
        return 0;
    }
    let paint = |style: Style, with: Color| if colour { style.fg(with) } else { style };
    let wanted = u16::try_from(model.processes.len()).unwrap_or(u16::MAX).saturating_add(1);
    // The lower half is for the log, as long as there is room for one at all.
    let most = if area.height < 12 { area.height - 2 } else { area.height / 2 };
    let [head, table, below, last] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(wanted.clamp(2, most)),
        Constraint::Fill(1),
        Constraint::Length(1),
    ])
    .areas(area);
    frame.render_widget(title(model, &paint), head);
    processes(frame, model, table, &paint);
    if below.height > 2 {
        let wide = below.width >= WIDE;
        let [left, right] = Layout::horizontal([
            Constraint::Percentage(if wide { 42 } else { 0 }),
            Constraint::Fill(1),
        ])
        .areas(below);
        if wide {
            events(frame, model, left);
        }
        log(frame, model, right, &paint);
    }
    frame.render_widget(foot(model, &paint), last);
    if model.help {
        help(frame, area);
    }
    usize::from(below.height.saturating_sub(2))
}

fn title<'a>(model: &'a Model, paint: &impl Fn(Style, Color) -> Style) -> Words<'a> {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let link = match &model.link {
        Link::Awaited => Span::raw("no answer yet"),
        Link::Up => Span::styled("up", paint(Style::new(), Color::Green)),
        Link::Lost(why) => {
            Span::styled(format!("lost, trying again: {why}"), paint(bold, Color::Red))
        }
    };
    Words::from(vec![
        Span::styled("coproc top ", bold),
        Span::raw(model.place.as_str()),
        Span::raw("  "),
        link,
    ])
}

fn processes(
    frame: &mut Frame<'_>,
    model: &Model,
    area: Rect,
    paint: &impl Fn(Style, Color) -> Style,
) {
    let columns: Vec<_> = COLUMNS.iter().filter(|(.., least, _)| area.width >= *least).collect();
    let row = |one: &Process| {
        let style = match one.state.as_str() {
            "failed" => paint(Style::new(), Color::Red),
            "backoff" | "starting" | "stopping" => paint(Style::new(), Color::Yellow),
            "running" if !one.ready => paint(Style::new(), Color::Yellow),
            "running" => paint(Style::new(), Color::Green),
            _ => Style::new(),
        };
        Row::new(columns.iter().map(|(.., text)| text(one)).collect::<Vec<_>>()).style(style)
    };
    let widths = columns.iter().map(|(_, width, ..)| match width {
        0 => Constraint::Fill(1),
        width => Constraint::Length(*width),
    });
    let titles = Row::new(columns.iter().map(|(title, ..)| *title).collect::<Vec<_>>());
    let table = Table::new(model.processes.iter().map(row), widths)
        .header(titles.style(Style::new().add_modifier(Modifier::BOLD)))
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let mut state = TableState::default().with_selected(Some(model.selected));
    frame.render_stateful_widget(table, area, &mut state);
}

fn events(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let room = usize::from(area.height.saturating_sub(2));
    let from = model.events.len().saturating_sub(room);
    let rows: Vec<_> = model.events.iter().skip(from).map(Words::raw).collect();
    frame.render_widget(Paragraph::new(rows).block(Block::bordered().title(" events ")), area);
}

fn log(frame: &mut Frame<'_>, model: &Model, area: Rect, paint: &impl Fn(Style, Color) -> Style) {
    let room = usize::from(area.height.saturating_sub(2));
    let shown = model.shown();
    let to = shown.len().saturating_sub(model.back).max(shown.len().min(room));
    let rows = shown[to.saturating_sub(room)..to].iter().map(|line| {
        let name = Style::new().add_modifier(Modifier::BOLD);
        Words::from(vec![
            Span::styled(line.logger.as_str(), paint(name, Color::Cyan)),
            Span::raw(" "),
            Span::raw(line.text.as_str()),
        ])
    });
    let of = match model.current().filter(|_| model.one_only) {
        Some(one) => format!(" log of {} ", one.name),
        None => " log ".to_owned(),
    };
    let mut title = vec![Span::raw(of)];
    if !model.search.is_empty() {
        title.push(Span::raw(format!("/{} ", model.search)));
    }
    if to < shown.len() {
        title.push(Span::raw(format!("({} newer) ", shown.len() - to)));
    }
    let rows = Paragraph::new(rows.collect::<Vec<_>>());
    frame.render_widget(rows.block(Block::bordered().title(Words::from(title))), area);
}

fn foot<'a>(model: &'a Model, paint: &impl Fn(Style, Color) -> Style) -> Words<'a> {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    match &model.asks {
        Asks::Text => Words::styled(format!("/{}_", model.search), bold),
        Asks::Sure(order) => Words::styled(
            format!("{} {}? y: yes, any other key: no", order.action, order.name),
            paint(bold, Color::Yellow),
        ),
        Asks::Nothing if !model.word.is_empty() => Words::styled(model.word.as_str(), bold),
        Asks::Nothing => Words::raw(KEYS),
    }
}

fn help(frame: &mut Frame<'_>, area: Rect) {
    let lines = u16::try_from(HELP.lines().count()).unwrap_or(u16::MAX);
    let (width, height) = (54.min(area.width), (lines + 2).min(area.height));
    let place = Rect { x: (area.width - width) / 2, y: (area.height - height) / 2, width, height };
    frame.render_widget(Clear, place);
    frame.render_widget(Paragraph::new(HELP).block(Block::bordered().title(" keys ")), place);
}

fn state(one: &Process) -> String {
    match one.state.as_str() {
        "running" if !one.ready => "not ready".to_owned(),
        state => state.to_owned(),
    }
}

fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

fn uptime(seconds: f64) -> String {
    humantime::format_duration(Duration::from_secs(seconds as u64)).to_string()
}

/// A size in units of 1024.
fn bytes(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut size = bytes as f64;
    let mut unit = 0;
    while size >= 1024.0 && unit + 1 < units.len() {
        size /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{size:.1} {}", units[unit]) }
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use serde_json::json;

    use super::super::model::{Input, Key};
    use super::*;

    fn model() -> Model {
        let mut model = Model::new("/run/coproc/control.sock".to_owned());
        let status = |spent: f64| {
            json!({
                "main": { "state": "running", "pid": 26112, "ready": true, "uptime_s": 3700.2,
                          "memory_bytes": 8_630_912, "cpu_s": 2.0 },
                "coprocesses": [
                    { "name": "agent", "state": "running", "pid": 26111, "background": true,
                      "restarts": 1, "uptime_s": 61.0, "ready": false, "cpu_s": spent,
                      "memory_bytes": 1_691_648 },
                    { "name": "flaky", "state": "failed", "pid": null, "background": true,
                      "restarts": 2, "uptime_s": null, "ready": false, "memory_bytes": null }
                ]
            })
        };
        model.step(Input::Status(status(1.0), 1.0));
        model.step(Input::Status(status(1.25), 3.0));
        for (seq, event) in ["pre-start", "coprocess.agent.started"].into_iter().enumerate() {
            model.step(Input::Event(json!({
                "seq": seq + 1, "time": "2026-11-21T14:58:23.525Z", "event": event, "pid": 26111
            })));
        }
        for n in 1..=30 {
            let logger = if n % 2 == 0 { "agent" } else { "nginx" };
            model.step(Input::Line(json!({ "logger": logger, "msg": format!("line {n}") })));
        }
        model
    }

    fn shows(name: &str, model: &Model, width: u16, height: u16) {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal
            .draw(|frame| {
                draw(frame, model, true);
            })
            .unwrap();
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"));
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!(name, terminal.backend()));
    }

    #[test]
    fn screens_of_several_sizes() {
        let model = model();
        shows("top__wide", &model, 110, 24);
        shows("top__usual", &model, 80, 16);
        shows("top__narrow", &model, 40, 10);
        shows("top__short", &model, 60, 5);
        shows("top__too_small", &model, 20, 3);
    }

    #[test]
    fn what_is_asked_and_said() {
        let press = |keys: &str| {
            let mut model = model();
            keys.chars().for_each(|key| drop(model.step(Input::Key(Key::Char(key)))));
            model
        };
        shows("top__search", &press("/LINE 2"), 80, 16);
        shows("top__sure", &press("jr"), 80, 16);
        shows("top__help", &press("?"), 80, 20);
        let mut lost = press("jl");
        lost.step(Input::Lost("no wrapper answers".to_owned()));
        lost.step(Input::Key(Key::PageUp));
        shows("top__lost", &lost, 80, 16);
    }

    /// A terminal may have any size, and a screen is drawn before anything is known.
    #[test]
    fn any_size_can_be_drawn() {
        for model in [Model::default(), model()] {
            for (width, height) in (0..16).flat_map(|w| (0..8).map(move |h| (w * 7, h * 3))) {
                let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
                let mut model = model.clone();
                model.help = width % 3 == 0;
                terminal
                    .draw(|frame| {
                        draw(frame, &model, false);
                    })
                    .unwrap();
            }
        }
    }

    #[test]
    fn sizes_as_people_read_them() {
        let texts = [0, 1023, 1024, 1_691_648, 5 << 30].map(bytes);
        assert_eq!(texts, ["0 B", "1023 B", "1.0 KiB", "1.6 MiB", "5.0 GiB"]);
    }
}
