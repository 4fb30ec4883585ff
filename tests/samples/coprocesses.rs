//! Samples of single coprocesses, with stand-ins for the programs that they name.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::sample::{Sample, as_user};
use crate::support::{alive, http, puppet};

#[test]
fn the_least_runs_a_program_and_its_helper() {
    let mut sample = Sample::copy("minimal.toml", &[], &[]);
    sample.env("COPROC_RUN_PATH", &sample.place.at("run"));
    let mut wrapper = sample.run(&[]);
    let helper = wrapper.started("helper", 1);
    kill(Pid::from_raw(helper), Signal::SIGKILL).unwrap();
    let next = wrapper.started("helper", 2);
    sample.healthy();
    assert_eq!(wrapper.stop(), 143, "{}", wrapper.dump());
    assert!(!alive(next));
}

/// A Consul that notes what it is told; its agent runs until TERM.
const CONSUL: &str = r#"echo "$*" >> $calls
[ "$1" = agent ] || exit 0
trap 'echo terminated >> $calls; exit 0' TERM
echo up
while :; do sleep 0.05; done"#;

#[test]
fn the_guides_coprocesses_keep_the_order_that_it_promises() {
    let mut sample = Sample::copy(
        "guide.toml",
        &[],
        &[("/opt/consul/conf.d/nginx.json", "@/conf.d/nginx.json")],
    );
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::create_dir(sample.place.path().join("conf.d")).unwrap();
    // sed -i writes a new file beside the old one, as the coprocess's user.
    std::fs::set_permissions(sample.place.path().join("conf.d"), open).unwrap();
    sample.place.write("conf.d/nginx.json", "{\"id\": \"edge-nginx-__host-id__\"}");
    sample.stand_in("consul", CONSUL);
    sample.env("COPROC_HOST_ID", "h1");
    sample.env("COPROC_RUN_PATH", &sample.place.at("run"));
    sample.env("HOSTNAME", "machine");
    let users = [as_user("consul-service-config"), as_user("consul")];
    let words = ["--set", &users[0], "--set", &users[1], "--", &puppet()];
    let mut wrapper = sample.run(&words);
    let agent = wrapper.started("consul", 1);
    wrapper.wait_for("consul: up");
    wrapper.wait_for("[notice]");

    // Foreground first, then the agent, and the main process waits for both.
    let ended = wrapper.position("consul-service-config: ended with exit status 0");
    assert!(ended < wrapper.position("consul: started"), "{}", wrapper.dump());
    assert!(wrapper.position("\"consul: started") < wrapper.position("\"pm: started"));
    assert_eq!(sample.place.read("conf.d/nginx.json"), "{\"id\": \"edge-nginx-h1\"}");
    let agent_words = "agent -node-meta=host_id:h1 -node-meta=hostname:machine -node-id=h1 \
                       -node=edge-h1 -client 127.0.0.1 -join 172.21.0.1 -data-dir /var/opt/consul \
                       -config-dir /opt/consul/conf.d -log-level=info";
    assert_eq!(sample.calls(), [agent_words]);

    // Unlimited restarts.
    kill(Pid::from_raw(agent), Signal::SIGKILL).unwrap();
    wrapper.wait_for_nth("consul: up", 2);
    assert_eq!(sample.calls(), [agent_words, agent_words]);

    // Deregistered while the agent is there to do it, and the agent is asked before it is told.
    assert_eq!(wrapper.stop(), 0, "{}", wrapper.dump());
    let end = ["services deregister -id=edge-nginx-h1", "leave", "terminated"];
    assert_eq!(sample.calls()[2..], end, "{}", wrapper.dump());
    assert_eq!(wrapper.count("consul-service-config: started"), 1);
}

#[test]
fn consul_is_told_when_nginx_serves_and_before_the_agent_leaves() {
    let mut sample = Sample::copy("consul", &[8080, 8500], &[]);
    let (go, puppet, port) = (sample.place.at("go"), puppet(), sample.port(8500));
    sample.stand_in(
        "consul",
        &format!(
            "echo \"$1 $2\" >> $calls\n\
             [ $1 != agent ] || exec {puppet} serve http 127.0.0.1:{port} {go} status"
        ),
    );
    sample.env("COPROC_HOST_ID", "h1");
    let mut wrapper = sample.run(&[]);
    wrapper.started("agent", 1);
    assert_eq!(wrapper.count("pm: started"), 0, "it waits for the agent");
    sample.place.write("go", "");
    wrapper.wait_for("[coprocess.register.exited]");
    assert!(
        wrapper.position("[coprocess.agent.ready]") < wrapper.position("pm: started"),
        "{}",
        wrapper.dump()
    );
    assert!(wrapper.position("event: [start]") < wrapper.position("register: started"));
    let answer = http::get(sample.port(8080), "/");
    assert!(answer.contains("X-Served-By: edge-h1"), "{answer}");
    sample.healthy();
    assert_eq!(sample.calls(), ["agent -dev", "services register"]);
    assert_eq!(wrapper.stop(), 0, "{}", wrapper.dump());
    assert_eq!(sample.calls()[2..], ["services deregister", "leave "], "{}", wrapper.dump());
}

#[test]
fn a_migration_that_succeeds_lets_the_server_start() {
    let sample = Sample::copy("migrations.toml", &[], &[]);
    sample.stand_in("migrate", "echo migrate $* >> $calls");
    sample.stand_in("warm-cache", "echo warm-cache $* >> $calls");
    sample.stand_in("server", "echo server $* >> $calls; echo serving; exec sleep 1000");
    let mut wrapper = sample.run(&[]);
    wrapper.wait_for("main: serving");
    wrapper.wait_for("warm-up: ended with exit status 0");
    let mut calls = sample.calls();
    calls[1..].sort();
    assert_eq!(calls, ["migrate --up", "server --port 8080", "warm-cache --once"]);
    assert_eq!(wrapper.stop(), 143, "{}", wrapper.dump());
}

#[test]
fn a_migration_that_fails_keeps_the_server_from_starting() {
    let sample = Sample::copy("migrations.toml", &[], &[]);
    sample.stand_in("migrate", "echo migrate >> $calls; echo no such column; exit 3");
    sample.stand_in("warm-cache", "echo warm-cache >> $calls");
    sample.stand_in("server", "echo server >> $calls");
    let mut wrapper = sample.run(&[]);
    assert_eq!(wrapper.wait(), 3, "{}", wrapper.dump());
    wrapper.wait_for("migrate: no such column");
    assert_eq!(sample.calls(), ["migrate"], "{}", wrapper.dump());
}
