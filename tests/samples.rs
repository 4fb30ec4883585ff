//! The samples: each is valid, and the one that `make run` starts does what its comments say.

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use support::{Place, free_port};

fn samples(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(samples(&path));
        } else if path
            .extension()
            .is_some_and(|e| ["toml", "json", "yaml", "yml"].contains(&e.to_str().unwrap()))
        {
            all.push(path);
        }
    }
    all
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config-samples")
}

#[test]
fn every_sample_passes_check() {
    let place = Place::new();
    let samples = samples(&folder());
    assert!(samples.len() >= 3, "{samples:?}");
    for sample in samples {
        let output = place.coproc(&["check", "-c", sample.to_str().unwrap()]);
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {complaints}", sample.display());
        assert_eq!(complaints, "", "{}", sample.display());
    }
}

#[test]
fn the_template_sample_serves_its_page() {
    let place = Place::new();
    let sample = folder().join("template");
    let port = free_port();
    place.write("nginx.conf.tmpl", &fs::read_to_string(sample.join("nginx.conf.tmpl")).unwrap());
    let words = [
        "-c".to_owned(),
        sample.join("coproc.toml").display().to_string(),
        "--set".to_owned(),
        format!("run_path={}", place.at("sample")),
        "--set".to_owned(),
        format!("listen=127.0.0.1:{port}"),
        "--set".to_owned(),
        "log.level=debug".to_owned(),
    ];
    let words = words.iter().map(String::as_str).collect::<Vec<_>>();
    let mut wrapper = place.run_with(&words, &[("SITE_NAME", "example.test")]);
    wrapper.wait_for("[start-worker]");
    assert!(place.read("sample/conf/nginx.conf").contains("server_name example.test;"));
    assert!(support::http::get(port, "/").contains("hello"), "{}", wrapper.dump());
    assert_eq!(wrapper.stop(), 0, "{}", wrapper.dump());
}

#[test]
fn the_demo_runs_nginx_and_its_three_coprocesses() {
    let place = Place::new();
    let demo = folder().join("demo");
    let port = free_port().to_string();
    let conf = fs::read_to_string(demo.join("nginx.conf")).unwrap();
    place.write(
        "run/conf/nginx.conf",
        &conf.replace("127.0.0.1:8080", &format!("127.0.0.1:{port}")),
    );
    let config = demo.join("coproc.toml");
    let set = |key: &str, value: &str| format!("{key}={value}");
    let run_path = set("run_path", &place.at("run"));
    let conf_path = set("conf_path", &place.at("run/conf"));
    let page = set("coprocess.page.cwd", &place.at("run"));
    let words = [
        "-c",
        config.to_str().unwrap(),
        "--set",
        &run_path,
        "--set",
        &conf_path,
        "--set",
        &page,
        "--set",
        "log.level=debug",
    ];
    let mut wrapper = place.run_with(&words, &[]);
    wrapper.wait_for("page: the page is written");
    wrapper.wait_for("ticker: tick");
    wrapper.wait_for_nth("[start-worker]", 2);
    assert!(wrapper.position("the page is written") < wrapper.position("[start]"));
    wrapper.signal(nix::sys::signal::Signal::SIGHUP);
    wrapper.wait_for("reloaded: nginx was reloaded at");
    wrapper.signal(nix::sys::signal::Signal::SIGINT);
    assert_eq!(wrapper.wait(), 0, "{}", wrapper.dump());
    assert!(
        wrapper.count("stop-ticker: the ticker is about to be stopped") == 1,
        "{}",
        wrapper.dump()
    );
}
