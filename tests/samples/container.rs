//! The image, and the files that run it: their commands are real ones, their paths are there, and
//! their patience is longer than the wrapper's.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use saphyr::{LoadableYamlNode, YamlOwned};

use crate::sample::{Sample, folder};
use crate::support::{Wrapper, children, eventually, free_port, http, is_root, skipped};

/// The instructions of the Dockerfile's last stage, each with its word.
fn dockerfile() -> Vec<(String, String)> {
    let text = fs::read_to_string(folder().join("container/Dockerfile")).unwrap();
    let text = text.replace("\\\n", " ");
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let all: Vec<_> = lines.map(|line| line.split_once(' ').unwrap()).collect();
    let last = all.iter().rposition(|(word, _)| *word == "FROM").unwrap();
    let own = |(word, rest): &(&str, &str)| ((*word).to_owned(), rest.trim().to_owned());
    all[last..].iter().map(own).collect()
}

/// What the Dockerfile says with a word that stands there once.
fn instruction(word: &str) -> String {
    let mut all = dockerfile().into_iter().filter(|(w, _)| w == word);
    let (_, rest) = all.next().unwrap_or_else(|| panic!("no {word}"));
    assert_eq!(all.next(), None);
    rest
}

/// The words of an instruction, which has to be in exec form.
fn words(word: &str) -> Vec<String> {
    let rest = instruction(word);
    let list = rest.find('[').unwrap_or_else(|| panic!("{word} {rest}"));
    serde_json::from_str(&rest[list..]).unwrap()
}

/// The documents of a file.
fn yaml(name: &str) -> Vec<YamlOwned> {
    let text = fs::read_to_string(folder().join("container").join(name)).unwrap();
    YamlOwned::load_from_str(&text).unwrap()
}

fn texts(list: &YamlOwned) -> Vec<String> {
    let list = list.as_sequence().unwrap();
    list.iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

fn seconds(text: &str) -> u64 {
    text.strip_suffix('s').unwrap().parse().unwrap()
}

/// The image's files in a folder that stands for its folders, and the port of nginx.
fn image() -> (Sample, u16) {
    let port = free_port();
    let listen = format!("listen 127.0.0.1:{port}");
    let mut sample = Sample::copy(
        "container",
        &[],
        &[("/etc/coproc", "@"), ("/run/coproc", "@/run"), ("listen 8080", &listen)],
    );
    let env = instruction("ENV");
    let (name, file) = env.split_once('=').unwrap();
    sample.env(name, &file.replace("/etc/coproc", &sample.place.at(".")));
    (sample, port)
}

/// The time that the wrapper takes to stop, as the config in force says.
fn shutdown_timeout(sample: &Sample, config: &str) -> u64 {
    let output = sample.coproc(&["debug", "--format", "json", "-c", config]);
    let debug: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    seconds(debug["values"]["shutdown_timeout"]["value"].as_str().unwrap())
}

/// Starts what the image starts, as its user; as PID 1 where this machine allows it.
#[allow(clippy::disallowed_methods)]
fn start(sample: &Sample) -> (Wrapper, bool) {
    let user = instruction("USER");
    let [reuid, regid] = ["reuid", "regid"].map(|option| format!("--{option}={user}"));
    let space = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"];
    let as_user = ["setpriv", &reuid, &regid, "--clear-groups"];
    let probe = std::process::Command::new(space[0]).args(&space[1..]).arg("true").output();
    let mut above: Vec<&str> = Vec::new();
    let spaces = is_root() && probe.is_ok_and(|output| output.status.success());
    if spaces {
        above.extend(space);
    } else {
        skipped("no PID namespace may be made here: it runs, but not as PID 1");
    }
    if is_root() {
        let www_data = nix::unistd::User::from_name(&user).unwrap().unwrap();
        let run = sample.place.path().join("run");
        std::os::unix::fs::chown(run, Some(www_data.uid.as_raw()), Some(www_data.gid.as_raw()))
            .unwrap();
        above.extend(as_user);
    }
    let image = [words("ENTRYPOINT"), words("CMD")].concat();
    assert_eq!(image[0], "coproc");
    let image: Vec<_> = image[1..].iter().map(String::as_str).collect();
    (Wrapper::start(sample.command_below(&above, &image)), spaces)
}

#[test]
fn what_the_image_is_made_of_is_there() {
    let root = folder().parent().unwrap().to_owned();
    let mut copied = Vec::new();
    for (word, rest) in dockerfile() {
        if word != "COPY" {
            continue;
        }
        let mut words: Vec<_> = rest.split_whitespace().collect();
        let to = words.pop().unwrap();
        if words[0] == "--from=build" {
            let text = fs::read_to_string(folder().join("container/Dockerfile")).unwrap();
            for line in ["AS build\n", "WORKDIR /src\n", "RUN cargo build --release --locked"] {
                assert!(text.contains(line), "{line}");
            }
            assert_eq!(words[1..], ["/src/target/release/coproc"]);
            assert_eq!(to, "/usr/local/bin/coproc");
            continue;
        }
        for word in words {
            let file = root.join(word);
            assert!(file.is_file(), "{word}");
            copied.push(format!("{to}{}", file.file_name().unwrap().display()));
        }
    }
    let config = instruction("ENV");
    assert!(copied.contains(&config.replace("COPROC_CONFIG=", "")), "{copied:?}");
    let nginx = fs::read_to_string(folder().join("container/nginx.conf")).unwrap();
    assert!(nginx.contains(&format!("listen {};", instruction("EXPOSE"))));
}

#[test]
fn the_image_runs_as_pid_1_and_drains_at_its_stop_signal() {
    let (sample, port) = image();
    let (mut wrapper, spaces) = start(&sample);
    wrapper.wait_for("[start-worker]");
    assert!(http::get(port, "/").contains("hello from"), "{}", wrapper.dump());
    let health = words("HEALTHCHECK");
    assert_eq!(health[0], "coproc");
    let health: Vec<_> = health[1..].iter().map(String::as_str).collect();
    eventually("the health check is content", || sample.coproc(&health).status.success());
    for line in wrapper.lines() {
        serde_json::from_str::<serde_json::Value>(&line).unwrap();
    }
    assert_eq!(wrapper.count("[alert]"), 0, "{}", wrapper.dump());
    let first = if spaces { children(wrapper.pid())[0] } else { wrapper.pid() };
    let status = fs::read_to_string(format!("/proc/{first}/status")).unwrap();
    let name_in_space = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap();
    assert!(!spaces || name_in_space.ends_with("\t1"), "{name_in_space}");
    let signal: Signal = instruction("STOPSIGNAL").parse().unwrap();
    kill(Pid::from_raw(first), signal).unwrap();
    assert_eq!(wrapper.wait(), 0, "{}", wrapper.dump());
    assert_eq!(wrapper.count("gracefully shutting down"), 1, "{}", wrapper.dump());
}

#[test]
fn compose_waits_longer_than_the_wrapper_and_asks_what_the_image_asks() {
    let (mut sample, _) = image();
    let file = yaml("compose.yaml");
    let edge = &file[0]["services"]["edge"];
    let beside = folder().join("container").join(edge["build"]["context"].as_str().unwrap());
    assert!(beside.join(edge["build"]["dockerfile"].as_str().unwrap()).is_file());
    let check = texts(&edge["healthcheck"]["test"]);
    assert_eq!(check, [vec!["CMD".to_owned()], words("HEALTHCHECK")].concat());
    let grace = seconds(edge["stop_grace_period"].as_str().unwrap());
    assert!(grace > shutdown_timeout(&sample, "coproc.toml"));
    let port = instruction("EXPOSE");
    assert_eq!(texts(&edge["ports"]), [format!("{port}:{port}")]);
    assert!(texts(&edge["tmpfs"])[0].starts_with("/run/coproc:"));
    for (name, value) in edge["environment"].as_mapping().unwrap() {
        sample.env(name.as_str().unwrap(), value.as_str().unwrap());
    }
    let check = sample.coproc(&["check"]);
    assert!(check.status.success() && check.stderr.is_empty(), "{check:?}");
}

#[test]
fn the_pod_has_a_valid_config_and_waits_longer_than_the_wrapper() {
    let (mut sample, port) = image();
    let health_port = free_port();
    let file = yaml("kubernetes.yaml");
    let [map, deployment] = file.as_slice() else { panic!("two documents") };
    let pod = &deployment["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!(deployment["spec"]["selector"]["matchLabels"], {
        deployment["spec"]["template"]["metadata"]["labels"].clone()
    });

    // The config stands where the variable says.
    let [config_mount, run_mount] = [0, 1].map(|at| {
        let mount = &container["volumeMounts"][at];
        assert_eq!(mount["name"], pod["volumes"][at]["name"]);
        mount["mountPath"].as_str().unwrap()
    });
    assert_eq!(pod["volumes"][0]["configMap"]["name"], map["metadata"]["name"]);
    assert_eq!(run_mount, "/run");
    let variable = &container["env"][0];
    assert_eq!(variable["name"].as_str(), Some("COPROC_CONFIG"));
    assert_eq!(variable["value"].as_str(), Some(&*format!("{config_mount}/coproc.toml")));
    let config = map["data"]["coproc.toml"].as_str().unwrap();
    let here = config
        .replace("/etc/coproc", &sample.place.at("."))
        .replace("/run/", &sample.place.at("empty-dir/"))
        .replace("0.0.0.0:9090", &format!("127.0.0.1:{health_port}"));
    sample.place.write("pod.toml", &here);
    // All may write to an emptyDir, and it is root's.
    let volume = sample.place.path().join("empty-dir");
    fs::create_dir(&volume).unwrap();
    fs::set_permissions(&volume, PermissionsExt::from_mode(0o777)).unwrap();
    sample.env("COPROC_CONFIG", &sample.place.at("pod.toml"));
    let check = sample.coproc(&["check"]);
    assert!(check.status.success() && check.stderr.is_empty(), "{check:?}");

    let grace = pod["terminationGracePeriodSeconds"].as_integer().unwrap() as u64;
    let pause = texts(&container["lifecycle"]["preStop"]["exec"]["command"]);
    assert_eq!(pause[0], "sleep");
    let pause: u64 = pause[1].parse().unwrap();
    assert!(grace > pause + shutdown_timeout(&sample, "pod.toml"));

    let exposed = instruction("EXPOSE").parse().ok();
    assert_eq!(container["ports"][0]["containerPort"].as_integer(), exposed);
    let [alive, ready] = ["livenessProbe", "readinessProbe"].map(|probe| {
        let asked = &container[probe]["httpGet"];
        assert_eq!(asked["port"], container["ports"][1]["name"]);
        asked["path"].as_str().unwrap()
    });
    let named = container["ports"][1]["containerPort"].as_integer().unwrap().to_string();
    assert!(config.contains(&format!("listen = \"0.0.0.0:{named}\"")), "{config}");
    let scraped = &deployment["spec"]["template"]["metadata"]["annotations"]["prometheus.io/port"];
    assert_eq!(scraped.as_str(), Some(&*named));

    // What the probes ask is answered well by what is run.
    let (mut wrapper, spaces) = start(&sample);
    wrapper.wait_for("[start-worker]");
    let ok = |path| http::get(health_port, path).starts_with("HTTP/1.1 200 ");
    eventually("the pod is ready", || ok(ready));
    assert!(ok(alive) && ok("/metrics"));
    assert!(http::get(port, "/").contains("hello from"), "{}", wrapper.dump());
    // The kubelet sends TERM, whatever the image says.
    let first = if spaces { children(wrapper.pid())[0] } else { wrapper.pid() };
    kill(Pid::from_raw(first), Signal::SIGTERM).unwrap();
    assert_eq!(wrapper.wait(), 0, "{}", wrapper.dump());
    assert_eq!(wrapper.count("gracefully shutting down"), 1, "{}", wrapper.dump());
}

#[test]
fn the_commands_of_the_systemd_unit_run_reload_and_stop() {
    let unit = fs::read_to_string(folder().join("coproc.service")).unwrap();
    let the = |key: &str| {
        let mut all = unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        let value = all.next().unwrap_or_else(|| panic!("no {key}"));
        assert_eq!(all.next(), None, "{key}");
        value
    };
    let (sample, port) = image();
    let here = |text: &str| {
        text.replace("/etc/coproc", &sample.place.at("."))
            .replace("/run/coproc", &sample.place.at("run"))
    };
    let words = |key: &str| {
        let text = here(the(key));
        let words = text.strip_prefix("/usr/local/bin/coproc ").unwrap();
        words.split(' ').map(str::to_owned).collect::<Vec<_>>()
    };
    let (start, reload) = (words("ExecStart"), words("ExecReload"));
    assert_eq!(the("RuntimeDirectory"), "coproc");
    let config = sample.place.read("coproc.toml");
    assert!(config.contains(&format!("run_path = \"{}\"", here("/run/coproc"))), "{config}");
    // The unit is patient enough for a config that says nothing, too.
    let rest = config.lines().filter(|line| !line.starts_with("shutdown_timeout"));
    sample.place.write("coproc.toml", &rest.collect::<Vec<_>>().join("\n"));
    let stop: u64 = the("TimeoutStopSec").parse().unwrap();
    assert!(stop > shutdown_timeout(&sample, "coproc.toml"));

    let start: Vec<_> = start.iter().map(String::as_str).collect();
    let mut wrapper = Wrapper::start(sample.command(&start));
    wrapper.wait_for("[start-worker]");
    assert!(http::get(port, "/").contains("hello from"), "{}", wrapper.dump());
    let reload: Vec<_> = reload.iter().map(String::as_str).collect();
    let output = sample.coproc(&reload);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    wrapper.wait_for("[reload] triggered");
    assert_eq!(wrapper.stop(), 0, "{}", wrapper.dump());
}
