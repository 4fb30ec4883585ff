//! Keys and news, and what the model makes of them.

use super::*;
use serde_json::json;

fn status(spent: f64) -> Value {
    json!({
        "main": { "state": "running", "pid": 1, "ready": true, "uptime_s": 5.0, "memory_bytes": 1 },
        "coprocesses": [
            { "name": "a", "state": "running", "pid": 2, "background": true, "restarts": 3,
              "uptime_s": 1.0, "ready": true, "cpu_s": spent, "memory_bytes": 2048 },
            { "name": "b", "state": "stopped", "pid": null, "background": false, "restarts": 0 }
        ]
    })
}

fn model() -> Model {
    let mut model = Model::new("x".to_owned());
    model.step(Input::Status(status(1.0), 10.0));
    model
}

fn press(model: &mut Model, keys: &str) -> Option<Effect> {
    keys.chars().map(|key| model.step(Input::Key(Key::Char(key)))).last().flatten()
}

fn order(name: &str, action: &'static str) -> Order {
    Order { name: name.to_owned(), action }
}

#[test]
fn processor_time_between_two_samples() {
    let mut model = model();
    assert_eq!(model.processes[1].cpu, None);
    model.step(Input::Status(status(1.5), 12.0));
    assert_eq!(model.processes[1].cpu, Some(25.0));
    // An event asks for a status as well; what comes so soon says nothing new.
    model.step(Input::Status(status(1.5), 12.1));
    assert_eq!(model.processes[1].cpu, Some(25.0));
    let mut another = status(0.0);
    another["coprocesses"][0]["pid"] = 99.into();
    model.step(Input::Status(another, 14.0));
    assert_eq!(model.processes[1].cpu, None, "another process has not used anything yet");
}

#[test]
fn orders_are_about_the_selected_one_and_those_that_interrupt_are_asked_for_twice() {
    let mut model = model();
    assert_eq!(press(&mut model, "s"), None, "main is not ordered about");
    assert!(model.word.contains("main process"));
    assert_eq!(press(&mut model, "js"), None);
    assert_eq!(model.asks, Asks::Sure(order("a", "stop")));
    assert_eq!(press(&mut model, "n"), None);
    assert_eq!(model.asks, Asks::Nothing);
    assert_eq!(press(&mut model, "sy"), Some(Effect::Give(order("a", "stop"))));
    assert_eq!(press(&mut model, "ry"), Some(Effect::Give(order("a", "restart"))));
    assert_eq!(press(&mut model, "b"), Some(Effect::Give(order("a", "foreground"))));
    assert_eq!(press(&mut model, "jjs"), Some(Effect::Give(order("b", "start"))));
    assert_eq!(press(&mut model, "b"), Some(Effect::Give(order("b", "background"))));
    model.step(Input::Answered(order("b", "start"), Err("no\tway".to_owned())));
    assert_eq!(model.word, "no way");
}

#[test]
fn the_selected_one_stays_so_when_places_change() {
    let mut model = model();
    press(&mut model, "jj");
    let mut fewer = status(1.0);
    fewer["coprocesses"].as_array_mut().unwrap().remove(0);
    model.step(Input::Status(fewer, 11.0));
    assert_eq!(model.current().unwrap().name, "b");
    model.step(Input::Status(json!({ "main": null, "coprocesses": [] }), 12.0));
    assert_eq!(model.current(), None);
    assert_eq!(press(&mut model, "rjks"), None);
}

#[test]
fn lines_are_searched_and_limited_to_one() {
    let mut model = model();
    for (logger, msg) in [("nginx", "Hello"), ("a", "help \u{1b}[2J me"), ("b", "other")] {
        model.step(Input::Line(json!({ "logger": logger, "msg": msg })));
    }
    let texts = |model: &Model| -> Vec<String> {
        model.shown().iter().map(|line| line.text.clone()).collect()
    };
    press(&mut model, "/hel");
    assert_eq!((model.search.as_str(), &model.asks), ("hel", &Asks::Text));
    assert_eq!(texts(&model), ["Hello", "help  me"]);
    model.step(Input::Key(Key::Enter));
    press(&mut model, "l");
    assert_eq!(texts(&model), ["Hello"], "those of main");
    press(&mut model, "j");
    assert_eq!(texts(&model), ["help  me"]);
    model.step(Input::Key(Key::Escape));
    assert_eq!(model.search, "");
}

#[test]
fn who_reads_back_is_not_moved_by_what_comes() {
    let mut model = model();
    let line = || Input::Line(json!({ "logger": "a", "msg": "x" }));
    (0..30).for_each(|_| drop(model.step(line())));
    model.step(Input::Key(Key::PageUp));
    model.step(line());
    assert_eq!(model.back, 11);
    model.step(Input::Key(Key::End));
    model.step(line());
    assert_eq!(model.back, 0);
    (0..3 * KEPT).for_each(|_| drop(model.step(line())));
    assert_eq!(model.lines.len(), KEPT);
}

#[test]
fn pages_are_those_of_the_picture_and_have_a_first_and_a_last() {
    let mut model = model();
    model.page = 8;
    let line = |n: u32| Input::Line(json!({ "logger": "a", "msg": n.to_string() }));
    (0..20).for_each(|n| drop(model.step(line(n))));
    let mut press = |key| {
        model.step(Input::Key(key));
        model.back
    };
    let pages = [Key::PageUp, Key::PageUp, Key::PageUp, Key::PageDown].map(&mut press);
    assert_eq!(pages, [8, 12, 12, 4]);
    assert_eq!([Key::Home, Key::PageDown, Key::End, Key::PageDown].map(press), [12, 4, 0, 0]);
}

#[test]
fn a_wrapper_that_is_lost_is_up_again_with_its_next_status() {
    let mut model = model();
    model.step(Input::Lost("gone".to_owned()));
    assert_eq!(model.link, Link::Lost("gone".to_owned()));
    model.step(Input::Status(status(1.0), 20.0));
    assert_eq!(model.link, Link::Up);
}

#[test]
fn what_would_steer_the_terminal_is_not_shown() {
    assert_eq!(tame("\u{1b}[1;31mred\u{1b}[0m and\tblue"), "red and blue");
    assert_eq!(tame("\u{1b}]0;title\u{7}"), " ]0;title ");
    assert_eq!(tame("cut \u{1b}[3"), "cut ");
}

#[test]
fn leaving_and_help() {
    let mut model = model();
    assert_eq!(press(&mut model, "?q"), None, "any key closes the help");
    assert_eq!(press(&mut model, "q"), Some(Effect::Leave));
    press(&mut model, "/");
    assert_eq!(press(&mut model, "q"), None);
    assert_eq!(model.step(Input::Key(Key::Interrupt)), Some(Effect::Leave));
}
