//! Samples in which one program waits for another, with stand-ins for the programs.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::sample::{Sample, as_user};
use crate::support::{eventually, http, puppet};

#[test]
fn database_application_and_nginx_start_one_after_another() {
    let sample = Sample::copy("chain", &[8080, 3000], &[]);
    let [db_ready, app_ready] = ["db-ready", "app-ready"].map(|file| sample.place.at(file));
    sample.stand_in("postgres", "exec sleep 1000");
    sample.stand_in("pg_isready", &format!("test -e {db_ready}"));
    // Says as an HTTP server would whether it was given the address of the sample.
    sample.stand_in("app", &format!("exec {} serve http $2 {app_ready} status", puppet()));
    let mut wrapper = sample.run(&["--set", &as_user("db")]);
    let db = wrapper.started("db", 1);
    assert_eq!(wrapper.count("app: started"), 0, "it waits for the database");
    assert!(!sample.coproc(&["health"]).status.success());
    sample.place.write("db-ready", "");
    wrapper.started("app", 1);
    assert_eq!(wrapper.count("pm: started"), 0, "it waits for the application");
    sample.place.write("app-ready", "");
    wrapper.wait_for("event: [start-worker]");
    let order = ["[coprocess.db.ready]", "app: started", "[coprocess.app.ready]", "pm: started"];
    assert!(order.map(|text| wrapper.position(text)).is_sorted(), "{}", wrapper.dump());
    assert!(http::get(sample.port(8080), "/").starts_with("HTTP/1.1 200 "));
    sample.healthy();

    // Another database takes another application, and leaves nginx alone.
    kill(Pid::from_raw(db), Signal::SIGKILL).unwrap();
    wrapper.wait_for_nth("[coprocess.app.ready]", 2);
    assert_eq!(wrapper.count("app: sending TERM"), 1, "{}", wrapper.dump());
    wrapper.started("db", 2);
    eventually("nginx passes requests on", || {
        http::get(sample.port(8080), "/").starts_with("HTTP/1.1 200 ")
    });
    assert_eq!(wrapper.count("pm: started"), 1, "{}", wrapper.dump());
    assert_eq!(wrapper.stop(), 0, "{}", wrapper.dump());
}

#[test]
fn the_server_of_the_probes_waits_for_its_agent_and_the_worker_for_the_server() {
    let programs = ["server", "agent", "worker"];
    let new = programs.map(|name| (format!("/usr/local/bin/{name}"), format!("@/bin/{name}")));
    let new: Vec<_> = new.iter().map(|(old, new)| (old.as_str(), new.as_str())).collect();
    let mut sample = Sample::copy("probes.toml", &[8080], &new);
    let [agent, server, worker] =
        ["agent-up", "server-up", "worker-up"].map(|f| sample.place.at(f));
    let (puppet, port) = (puppet(), sample.port(8080));
    sample.stand_in(
        "agent",
        &format!("[ $1 != ping ] || exit 0\nexec {puppet} serve unix $2 {agent}"),
    );
    sample
        .stand_in("server", &format!("exec {puppet} serve http 127.0.0.1:{port} {server} status"));
    sample.stand_in("worker", &format!("exec {puppet} notify READY=1 {worker} {worker}"));
    sample.env("COPROC_RUN_PATH", &sample.place.at("run"));
    let mut wrapper = sample.run(&[]);
    wrapper.started("agent", 1);
    for file in ["agent-up", "server-up", "worker-up"] {
        sample.place.write(file, "");
    }
    wrapper.wait_for("[coprocess.worker.ready]");
    let order = [
        "[coprocess.agent.ready]",
        "pm: started",
        "event: [start]",
        "worker: started",
        "[coprocess.worker.ready]",
    ];
    assert!(order.map(|text| wrapper.position(text)).is_sorted(), "{}", wrapper.dump());
    sample.healthy();
    assert_eq!(wrapper.stop(), 143, "{}", wrapper.dump());
}

/// The variables of an env file, read as Docker reads one.
fn variables(text: &str) -> Vec<(&str, &str)> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| line.split_once('=').unwrap()).collect()
}

/// The copy has no config file, only the variables.
fn with_variables_alone(ports: &[u16]) -> (Sample, Vec<String>) {
    let mut sample = Sample::copy("coproc.env", ports, &[]);
    let text = sample.place.read("coproc.toml");
    std::fs::remove_file(sample.place.path().join("coproc.toml")).unwrap();
    let variables = variables(&text);
    for (name, value) in &variables {
        sample.env(name, value);
    }
    sample.env("COPROC_RUN_PATH", &sample.place.at("run"));
    (sample, variables.into_iter().map(|(name, _)| name.to_owned()).collect())
}

#[test]
fn variables_alone_are_a_config() {
    let (sample, names) = with_variables_alone(&[8080]);
    let check = sample.coproc(&["check"]);
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
    assert_eq!(check.stderr, b"");

    let debug = sample.coproc(&["debug", "--format", "json"]);
    let said: serde_json::Value = serde_json::from_slice(&debug.stdout).unwrap();
    let values = said["values"].as_object().unwrap();
    for name in &names {
        let origin = values.values().find(|value| value["origin"]["where"] == name.as_str());
        assert_eq!(origin.expect(name)["origin"]["kind"], "env", "{name}");
    }
    let from_files = values.values().filter(|value| value["origin"]["kind"] == "file").count();
    assert_eq!(from_files, 0);
}

#[test]
fn variables_alone_run_a_server_and_its_agent() {
    let (sample, _) = with_variables_alone(&[8080]);
    let (puppet, go, port) = (puppet(), sample.place.at("go"), sample.port(8080));
    sample.stand_in(
        "server",
        &format!("echo server $* >> $calls; exec {puppet} serve tcp 127.0.0.1:{port} {go}"),
    );
    sample.stand_in("agent", &format!("echo agent $* >> $calls; exec {puppet} say joined {go}"));
    let mut wrapper = sample.run(&[]);
    wrapper.wait_for("[coprocess.agent.started]");
    sample.place.write("go", "");
    wrapper.wait_for("[start] triggered");
    assert_eq!(sample.calls(), ["agent --node edge", "server --port 8080"]);
    for line in wrapper.lines() {
        serde_json::from_str::<serde_json::Value>(&line).unwrap();
    }
    sample.healthy();
    assert_eq!(wrapper.stop(), 143, "{}", wrapper.dump());
}

#[test]
fn workers_start_after_the_migration_and_the_cache_and_make_way_one_by_one() {
    let programs = ["front", "migrate", "cache", "worker", "report"];
    let new = programs.map(|name| (format!("/usr/local/bin/{name}"), format!("@/bin/{name}")));
    let mut new: Vec<_> = new.iter().map(|(old, new)| (old.as_str(), new.as_str())).collect();
    new.push(("/run/secrets/db", "@/db"));
    let mut sample = Sample::copy("workers.toml", &[], &new);
    sample.place.write("db", "hidden\n");
    let go = sample.place.at("go");
    sample.stand_in("front", "exec sleep 1000");
    sample.stand_in("cache", "touch $2\nexec sleep 1000");
    let wait = format!("while ! test -e {go}; do sleep 0.02; done");
    sample.stand_in("migrate", &format!("{wait}\necho migrate $DB_PASSWORD >> $calls"));
    let noted = "echo worker-$COPROC_REPLICA $DB_PASSWORD $WORKER_SIZE.$OTHER >> $calls";
    sample.stand_in("worker", &format!("{noted}\ntouch $2\nexec sleep 1000"));
    sample.stand_in("report", "exit 1");
    sample.env("WORKER_SIZE", "3");
    sample.env("OTHER", "not for them");
    let mut wrapper = sample.run(&[]);
    wrapper.wait_for("event: [coprocess.cache.ready]");
    assert_eq!(wrapper.count("worker-1: started"), 0, "the migration has not ended");
    sample.place.write("go", "");
    wrapper.wait_for("event: [coprocess.worker.ready]");
    wrapper.wait_for("event: [start]");
    let calls = sample.calls();
    assert_eq!(calls[0], "migrate hidden");
    for worker in ["worker-1", "worker-2"] {
        assert!(calls.contains(&format!("{worker} hidden 3.")), "{calls:?}");
    }
    assert!(sample.coproc(&["restart", "worker"]).status.success());
    let first = wrapper.position("event: [coprocess.worker-1.exited]");
    assert!(first < wrapper.position("event: [coprocess.worker-2.exited]"), "{}", wrapper.dump());
    eventually("the report has its time", || {
        let why = sample.coproc(&["why", "report"]).stdout;
        String::from_utf8_lossy(&why).contains("runs in ")
    });
    sample.healthy();
    assert_eq!(wrapper.stop(), 143, "{}", wrapper.dump());
    assert!(!wrapper.dump().contains("hidden"));
}
