//! `coproc doctor`, where it is run by everybody who runs these tests.

mod support;

use serde_json::Value;
use support::Place;

/// A folder with this config, whose run path is in it.
fn place(text: &str) -> Place {
    let place = Place::new();
    place.write("coproc.toml", &format!("run_path = \"{}\"\n{text}", place.at("run")));
    place
}

/// What is said of a key, and the exit status.
fn told(place: &Place, key: &str) -> (Value, Option<i32>) {
    let output = place.coproc(&["doctor", "--format", "json"]);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let found = answer["findings"].as_array().unwrap().iter().find(|one| one["about"] == key);
    (found.unwrap_or_else(|| panic!("{answer:#}")).clone(), output.status.code())
}

#[test]
fn programs_are_looked_for_and_nothing_is_started() {
    let place = place(
        "[main]\nexec = \"sleep 1\"\n[coprocess.a]\nname = \"a\"\nexec = \"./broken\"\n\
         stop_exec = \"no-such-program-anywhere\"\nrestarts = \"never\"\nexec_event = \"start\"\n",
    );
    place.write("broken", "no program");
    let (main, code) = told(&place, "main.exec");
    assert_eq!((&main["grade"], code), (&"ok".into(), Some(1)), "{main}");
    let (broken, _) = told(&place, "coprocess.a.exec");
    assert_eq!(broken["grade"], "problem");
    assert!(broken["says"].as_str().unwrap().contains("is not executable"), "{broken}");
    let (missing, _) = told(&place, "coprocess.a.stop_exec");
    let says = "`no-such-program-anywhere` was not found on PATH";
    assert_eq!((&missing["grade"], &missing["says"]), (&"problem".into(), &says.into()));
    assert_eq!(std::fs::read_dir(place.path().join("run")).unwrap().count(), 1, "conf alone");
}

#[test]
fn without_problems_it_exits_with_0_and_says_so() {
    let place = place("");
    let output = place.coproc(&["doctor", "--", "sleep", "1"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.ends_with("no problems\n") && text.starts_with("ok "), "{text}");
}

#[test]
fn a_run_path_below_a_file_is_a_problem() {
    let place = Place::new();
    place.write("file", "");
    place.write(
        "coproc.toml",
        &format!("run_path = \"{}\"\n[main]\nexec = \"sleep\"\n", place.at("file/run")),
    );
    let (run_path, code) = told(&place, "run_path");
    assert_eq!((&run_path["grade"], code), (&"problem".into(), Some(1)));
}

#[test]
fn an_nginx_that_leaves_the_foreground_is_a_problem() {
    let place = Place::new();
    place.config("");
    for (text, grade) in [("events {}\n", "problem"), ("daemon off;\nevents {}\n", "ok")] {
        place.write("run/conf/nginx.conf", text);
        assert_eq!(told(&place, "nginx").0["grade"], grade, "{text}");
    }
}

#[test]
fn a_wrong_config_exits_with_2() {
    let place = Place::new();
    place.write("coproc.toml", "[main]\nexec = []\n");
    assert_eq!(place.coproc(&["doctor"]).status.code(), Some(2));
}

#[test]
fn what_programs_need_beside_them_is_looked_for() {
    let place = place(
        "[main]\nexec = \"sleep\"\nready = { exec = \"no-such-probe\" }\n\
         [coprocess.a]\nname = \"a\"\nexec = \"sleep\"\nrestarts = \"never\"\nexec_event = \"start\"\n\
         replicas = 2\ncwd = \"/no/such/folder\"\nenv_file = \"there.env\"\n\
         secrets = { PASSWORD = \"/no/such/secret\", FOLDER = \"/\" }\n",
    );
    place.write("there.env", "A=1");
    for (key, grade) in [
        ("main.ready.exec", "problem"),
        ("coprocess.a.cwd", "problem"),
        ("coprocess.a.env_file", "ok"),
        ("coprocess.a.secrets.PASSWORD", "problem"),
        ("coprocess.a.secrets.FOLDER", "problem"),
    ] {
        let (found, code) = told(&place, key);
        assert_eq!((&found["grade"], code), (&grade.into(), Some(1)), "{found}");
    }
    let output = place.coproc(&["doctor"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.matches("coprocess.a.exec ").count(), 1, "{text}");
}
