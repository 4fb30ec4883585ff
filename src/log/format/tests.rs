//! Every shape of a line, by table.

use super::*;
use crate::log::config::JsonOptions;
use coproc_core::output::{Level, Part, Stream};
use std::time::Duration;

const START: SystemTime = SystemTime::UNIX_EPOCH;

fn around() -> Surroundings {
    let zone = TimeZone::fixed(jiff::tz::offset(2));
    Surroundings { terminal: false, zone, start: START, clicolor: None, clicolor_force: None }
}

fn child(text: &[u8]) -> Line<'_> {
    Line {
        time: START + Duration::from_millis(1_700_000_000_250),
        logger: "consul",
        stream: Some(Stream::Stderr),
        level: Level::Warn,
        text,
        part: Part::Whole,
        form: None,
    }
}

fn print(form: Form, options: Options, around: &Surroundings, line: &Line<'_>) -> Vec<u8> {
    let mut out = b"before ".to_vec();
    let mut format = Format::new(form, &options, around);
    format.line(line, &mut out);
    assert_eq!(format.count(&out), 1);
    out.drain(..7);
    out
}

fn text(options: TextOptions, line: &Line<'_>) -> String {
    String::from_utf8(print(
        Form::Text,
        Options { text: options, ..Options::default() },
        &around(),
        line,
    ))
    .unwrap()
}

fn json(options: JsonOptions, line: &Line<'_>) -> String {
    String::from_utf8(print(
        Form::Json,
        Options { json: options, ..Options::default() },
        &around(),
        line,
    ))
    .unwrap()
}

#[test]
fn text_as_logrus_writes_it() {
    let expected = "time=\"2023-11-15T00:13:20+02:00\" level=warning msg=\"consul: hello\"\n";
    assert_eq!(text(TextOptions::default(), &child(b"hello")), expected);
}

#[test]
fn text_escapes_as_go_does_and_passes_other_bytes() {
    let message = "a \"b\" \\ \t\r\u{7}\u{8}\u{b}\u{c}\0\u{1b}[1m\u{7f} é";
    let line = child(message.as_bytes());
    let options = TextOptions { disable_timestamp: true, ..TextOptions::default() };
    let expected =
        "level=warning msg=\"consul: a \\\"b\\\" \\\\ \\t\\r\\a\\b\\v\\f\\x00\\x1b[1m\\x7f é\"\n";
    assert_eq!(text(options.clone(), &line), expected);
    let bytes = print(
        Form::Text,
        Options { text: options, ..Options::default() },
        &around(),
        &child(b"\xFF\xC3"),
    );
    assert_eq!(bytes, b"level=warning msg=\"consul: \xFF\xC3\"\n");
}

#[test]
fn text_options() {
    let default = TextOptions { disable_timestamp: true, ..TextOptions::default() };
    let bare = Line { logger: "", ..child(b"a-Z0._/@^+") };
    let empty = Line { logger: "", ..child(b"") };
    let long = Line { part: Part::Begin, ..child(b"x") };
    let dated = |layout: &str| TextOptions {
        timestamp_format: Some(layout.into()),
        ..TextOptions::default()
    };
    for (options, line, expected) in [
        (default.clone(), bare, "level=warning msg=a-Z0._/@^+\n"),
        (
            TextOptions { force_quote: true, ..default.clone() },
            bare,
            "level=\"warning\" msg=\"a-Z0._/@^+\"\n",
        ),
        (default.clone(), empty, "level=warning msg=\n"),
        (
            TextOptions { quote_empty_fields: true, ..default.clone() },
            empty,
            "level=warning msg=\"\"\n",
        ),
        (default, long, "level=warning msg=\"consul: x\" part=begin\n"),
        (dated("2006"), child(b"x"), "time=2023 level=warning msg=\"consul: x\"\n"),
        (dated("05.000"), child(b"x"), "time=20.250 level=warning msg=\"consul: x\"\n"),
    ] {
        assert_eq!(text(options, &line), expected);
    }
}

#[test]
fn a_time_is_printed_anew_when_it_changes() {
    let mut format = Format::new(Form::Text, &Options::default(), &around());
    let mut out = Vec::new();
    for seconds in [0, 0, 1, 0] {
        let line = Line { time: START + Duration::from_secs(seconds), ..child(b"x") };
        format.line(&line, &mut out);
    }
    let text = String::from_utf8(out).unwrap();
    let seconds: Vec<&str> = text.lines().map(|line| &line[23..25]).collect();
    assert_eq!(seconds, ["00", "00", "01", "00"]);
}

#[test]
fn the_form_for_terminals() {
    let default = TextOptions { force_colors: true, ..TextOptions::default() };
    let pad = |text: &str| format!("{text:44} \n");
    let stamp = "[2023-11-15T00:13:20+02:00]";
    for (options, level, head) in [
        (default.clone(), Level::Warn, format!("\x1b[33mWARNING\x1b[0m{stamp}")),
        (default.clone(), Level::Info, format!("\x1b[36mINFO   \x1b[0m{stamp}")),
        (default.clone(), Level::Trace, format!("\x1b[37mTRACE  \x1b[0m{stamp}")),
        (
            TextOptions { pad_level_text: false, disable_timestamp: true, ..default.clone() },
            Level::Panic,
            "\x1b[31mPANI\x1b[0m".into(),
        ),
        (
            TextOptions {
                pad_level_text: false,
                disable_level_truncation: true,
                full_timestamp: false,
                ..default.clone()
            },
            Level::Debug,
            "\x1b[37mDEBUG\x1b[0m[1700000000]".into(),
        ),
    ] {
        let line = Line { level, ..child("größe".as_bytes()) };
        assert_eq!(text(options, &line), format!("{head} {}", pad("consul: größe")));
    }
    let early = Line { time: START + Duration::from_secs(7), ..child(b"x") };
    let options = TextOptions { full_timestamp: false, ..default };
    assert!(text(options, &early).contains("\x1b[0m[0007] consul: x"));
}

#[test]
fn a_terminal_is_not_steered_by_children() {
    let options =
        TextOptions { force_colors: true, disable_timestamp: true, ..TextOptions::default() };
    let line = child(b"\x1b[1;31mred\x1b[0m \x1b[2J \r \x1b]0;x\x07 \x1b[");
    let shown = text(options, &line);
    let (_, shown) = shown.split_once("consul: ").unwrap();
    assert_eq!(shown.trim_end(), "\x1b[1;31mred\x1b[0m \\x1b[2J \\x0d \\x1b]0;x\\x07 \\x1b[");
}

#[test]
fn when_there_are_colours() {
    let plain = TextOptions::default();
    let force = TextOptions { force_colors: true, ..plain.clone() };
    let never = TextOptions { disable_colors: true, ..force.clone() };
    let asks = TextOptions { environment_override_colors: true, ..plain.clone() };
    let terminal = Surroundings { terminal: true, ..around() };
    let with = |clicolor: Option<&str>, force: Option<&str>| Surroundings {
        clicolor: clicolor.map(Into::into),
        clicolor_force: force.map(Into::into),
        ..terminal.clone()
    };
    for (options, around, expected) in [
        (&plain, around(), false),
        (&plain, terminal.clone(), true),
        (&force, around(), true),
        (&never, terminal.clone(), false),
        (&plain, with(Some("0"), Some("0")), true),
        (&asks, with(None, None), true),
        (&asks, with(Some("0"), None), false),
        (&asks, with(Some("0"), Some("1")), true),
        (&asks, with(Some("1"), Some("0")), false),
    ] {
        assert_eq!(coloured(options, &around), expected, "{options:?} {around:?}");
    }
}

#[test]
fn json_lines() {
    let line = child(b"a \"b\" \\ \n\t\x01\x7f \xC3\xA9");
    let expected = concat!(
        "{\"time\":\"2023-11-15T00:13:20+02:00\",\"level\":\"warning\",\"logger\":\"consul\",",
        "\"stream\":\"stderr\",\"msg\":\"a \\\"b\\\" \\\\ \\n\\t\\u0001\\u007f é\"}\n"
    );
    let printed = json(JsonOptions::default(), &line);
    assert_eq!(printed, expected);
    let value: serde_json::Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(value["msg"].as_str().map(str::as_bytes), Some(line.text));
}

#[test]
fn json_options() {
    let options = JsonOptions {
        pretty_print: true,
        disable_timestamp: true,
        timestamp_format: None,
        data_key: Some("data".into()),
    };
    let own = Line { stream: None, part: Part::End, ..child(b"x") };
    let expected = "{\n  \"level\": \"warning\",\n  \"logger\": \"consul\",\n  \"msg\": \"x\",\n  \"part\": \"end\",\n  \"data\": {}\n}\n";
    assert_eq!(json(options, &own), expected);
}

#[test]
fn json_keeps_bytes_that_are_no_text() {
    let options = JsonOptions { disable_timestamp: true, ..JsonOptions::default() };
    let printed = json(options, &child(b"a\xFFb"));
    let value: serde_json::Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(value["msg"], "a\u{FFFD}b");
    assert_eq!(value["msg_base64"], "Yf9i");
}

/// What children may write, and worse, in each of the three forms that are not nginx-wrapper's.
fn odd(form: Form, around: &Surroundings) -> String {
    let nested = format!("{{\"a\":{}1{}}}", "[".repeat(300), "]".repeat(300));
    let huge = format!("{{\"msg\":\"{}\",\"n\":1}}", "x".repeat(20_000));
    let lines: [(&str, &[u8]); 30] = [
        ("plain", b"hello world"),
        ("blank", b""),
        ("blanks", b"  \t "),
        ("no UTF-8", b"caf\xE9 \xFF\xFE"),
        ("NUL, CR and ANSI", b"a\0b\rc \x1b[31mred\x1b[0m \x1b[2J"),
        ("CRLF", b"line\r"),
        ("a head of nginx", b"2026/11/21 08:28:12 [warn] 7#7: x"),
        ("an object", br#"{"msg":"served","code":200,"ok":true,"none":null}"#),
        ("an object with blanks", br#"  { "msg" : "a b" , "list" : [ 1, 2 ] }  "#),
        ("an object and CR", b"{\"msg\":\"x\"}\r"),
        ("an empty object", b"{}"),
        ("the same level", br#"{"level":"warning","msg":"x"}"#),
        ("pino's numbers", br#"{"level":40,"time":1700000000250,"pid":7,"msg":"x"}"#),
        ("a time with its offset", br#"{"time":"2023-11-14T22:13:20.123456+00:00","msg":"x"}"#),
        ("a time that is none", br#"{"time":"yesterday","msg":"x"}"#),
        ("a time with a zone", br#"{"time":"2023-11-14T22:13:20+01:00[Europe/Berlin]"}"#),
        ("two times", br#"{"time":"2023-11-14T22:13:20Z","time":"2024-01-01T00:00:00Z"}"#),
        ("all four names", br#"{"time":1,"level":{},"logger":"com.Main","stream":"stderr"}"#),
        ("names beside them", br#"{"logger":"a","child_logger":"b","child_child_logger":"c"}"#),
        ("another key for the text", br#"{"message":"x","severity":"INFO"}"#),
        ("escaped names", br#"{"\u006cogger":"a","a\"b\u0000":"\ud83d\ude00","\u00e9":1}"#),
        ("nested JSON", br#"{"msg":"{\"a\":{\"b\":[1]}}","a":{"b":{"c":[{}]}}}"#),
        ("deeply nested JSON", nested.as_bytes()),
        ("huge JSON", huge.as_bytes()),
        ("two objects", br#"{"a":1}{"b":2}"#),
        ("half an object", br#"{"a":1,"#),
        ("wrong JSON", br#"{"a":1,}"#),
        ("an array", br#"[{"a":1}]"#),
        ("a control character within", b"{\"a\":\"x\ty\"}"),
        ("no UTF-8 within", b"{\"a\":\"\xFF\"}"),
    ];
    let mut format = Format::new(form, &Options::default(), around);
    let mut shown = String::new();
    let mut show = |what: &str, line: &Line<'_>| {
        let mut out = Vec::new();
        format.line(line, &mut out);
        assert_eq!(format.count(&out), 1, "{what}");
        assert_eq!(out.pop(), Some(b'\n'), "{what}");
        if form == Form::Raw && line.stream.is_some() {
            assert_eq!(out, line.text, "{what}");
        }
        if form == Form::Merged {
            serde_json::from_slice::<serde::de::IgnoredAny>(&out).unwrap();
        }
        // As bytes, for what is no text; what is long in short.
        let mut text = out.escape_ascii().to_string().replace("\\\"", "\"").replace("\\\\", "\\");
        if text.len() > 400 {
            text = format!("{} ... {}", &text[..100], &text[text.len() - 30..]);
        }
        shown.push_str(&format!("{what}:\n  {text}\n"));
    };
    for (what, text) in lines {
        show(what, &child(text));
    }
    for part in [Part::Begin, Part::Middle, Part::End] {
        show("a piece", &Line { part, ..child(br#"{"a":1}"#) });
    }
    let own = Line { stream: None, logger: "pm", ..child(br#"{"a":1}"#) };
    show("coproc's own", &own);
    show("coproc's own news", &Line { level: Level::Info, ..own });
    shown
}

#[test]
fn odd_lines_raw() {
    snapshot("log__odd_lines_raw", &odd(Form::Raw, &around()));
}

#[test]
fn odd_lines_behind_a_prefix() {
    snapshot("log__odd_lines_prefix", &odd(Form::Prefix, &around()));
}

#[test]
fn odd_lines_on_a_terminal() {
    let terminal = Surroundings { terminal: true, ..around() };
    snapshot("log__odd_lines_terminal", &odd(Form::Prefix, &terminal));
}

#[test]
fn odd_lines_merged() {
    snapshot("log__odd_lines_merged", &odd(Form::Merged, &around()));
}

fn snapshot(name: &str, text: &str) {
    insta::with_settings!({
        snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"),
        prepend_module_to_snapshot => false,
        omit_expression => true,
    }, { insta::assert_snapshot!(name, text) });
}

#[test]
fn times_of_the_new_forms() {
    let options = |json: JsonOptions| Options { json, ..Options::default() };
    let none = || options(JsonOptions { disable_timestamp: true, ..JsonOptions::default() });
    let short = || {
        options(JsonOptions { timestamp_format: Some("15:04".into()), ..JsonOptions::default() })
    };
    let text = |form, options, line: &[u8]| {
        String::from_utf8(print(form, options, &around(), &child(line))).unwrap()
    };
    assert_eq!(text(Form::Prefix, none(), b"x"), "consul | x\n");
    assert_eq!(text(Form::Prefix, short(), b"x"), "00:13 consul | x\n");
    // Without a time of ours the child's is only one of its members.
    assert_eq!(
        text(Form::Merged, none(), br#"{"a":1,"time":2}"#),
        "{\"level\":\"warning\",\"logger\":\"consul\",\"stream\":\"stderr\",\"a\":1,\"time\":2}\n"
    );
    assert!(text(Form::Merged, short(), b"{}").starts_with("{\"time\":\"00:13\",\"level\""));
}

#[test]
fn a_line_may_have_a_form_of_its_own() {
    let mut format = Format::new(Form::Json, &Options::default(), &around());
    let mut out = Vec::new();
    format.line(&Line { form: Some(Form::Raw), ..child(b"raw") }, &mut out);
    format.line(&child(b"json"), &mut out);
    let text = String::from_utf8(out).unwrap();
    assert!(text.starts_with("raw\n{\"time\":"), "{text}");
    let pretty = JsonOptions { pretty_print: true, ..JsonOptions::default() };
    let options = Options { json: pretty, ..Options::default() };
    let mut format = Format::new(Form::Json, &options, &around());
    let mut out = Vec::new();
    for form in [None, Some(Form::Raw), None] {
        format.line(&Line { form, ..child(b"x") }, &mut out);
    }
    assert_eq!(format.count(&out), 3);
}
