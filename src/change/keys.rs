//! Which keys differ between two configs, and what each of them takes. Every field is named here, so that
//! a new one cannot be forgotten.

use coproc_coprocess::config::{Coprocess, Policy};
use coproc_core::process::Context;
use coproc_main::config::Main;

use crate::config::{Config, Loaded};
use crate::log::LogConfig;

/// The keys of a coprocess that differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Changed {
    /// What a program is started with.
    pub(super) anew: Vec<&'static str>,
    /// All else.
    pub(super) live: Vec<&'static str>,
}

/// Collects the names of those that differ.
fn differ<const N: usize>(keys: [(&'static str, bool); N]) -> Vec<&'static str> {
    keys.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
}

pub(super) fn of_coprocess(old: &Coprocess, new: &Coprocess) -> Changed {
    let Coprocess {
        // The name tells it from others, and the key is for the environment alone.
        key: _,
        name: _,
        // It follows from the name.
        replica: _,
        exec,
        stop_exec,
        context,
        log,
        ready,
        live,
        policy,
        exec_event,
        after,
        schedule,
        stop_event,
        stop_timeout,
        stop_exec_timeout,
        tasks,
        cgroup,
    } = new;
    let Policy {
        restarts,
        time_between_restarts,
        background,
        backoff,
        restart_limit,
        success_exit_codes,
        on_give_up,
    } = policy;
    let was = &old.policy;
    let mut anew = differ([("exec", *exec != old.exec)]);
    anew.extend(of_context(&old.context, context));
    anew.extend(differ([("cgroup", *cgroup != old.cgroup)]));
    anew.extend(differ([("ready", *ready != old.ready), ("live", *live != old.live)]));
    Changed {
        anew,
        live: differ([
            ("exec_event", *exec_event != old.exec_event),
            ("after", *after != old.after),
            ("schedule", *schedule != old.schedule),
            ("stop_event", *stop_event != old.stop_event),
            ("stop_exec", *stop_exec != old.stop_exec),
            ("stop_exec_timeout", *stop_exec_timeout != old.stop_exec_timeout),
            ("stop_timeout", *stop_timeout != old.stop_timeout),
            ("restarts", *restarts != was.restarts),
            ("time_between_restarts", *time_between_restarts != was.time_between_restarts),
            ("background", *background != was.background),
            ("backoff", *backoff != was.backoff),
            ("restart_limit", *restart_limit != was.restart_limit),
            ("success_exit_codes", *success_exit_codes != was.success_exit_codes),
            ("on_give_up", *on_give_up != was.on_give_up),
            ("tasks", *tasks != old.tasks),
            ("log", *log != old.log),
        ]),
    }
}

fn of_context(old: &Context, new: &Context) -> Vec<&'static str> {
    let Context {
        user,
        group,
        env,
        env_file,
        env_pass,
        secrets,
        cwd,
        umask,
        limits,
        capabilities,
        no_new_privs,
        oom,
        // Made of its coprocess's own key and name.
        cgroup: _,
    } = new;
    differ([
        ("user", *user != old.user),
        ("group", *group != old.group),
        ("env", *env != old.env),
        ("env_file", *env_file != old.env_file),
        ("env_pass", *env_pass != old.env_pass),
        ("secrets", *secrets != old.secrets),
        ("cwd", *cwd != old.cwd),
        ("umask", *umask != old.umask),
        ("limits", *limits != old.limits),
        ("capabilities", *capabilities != old.capabilities),
        ("no_new_privs", *no_new_privs != old.no_new_privs),
        ("oom_score_adj", *oom != old.oom),
    ])
}

/// What changes at once, besides coprocesses.
pub(super) fn live(old: &Config, new: &Config) -> Vec<String> {
    let mut live = main(&old.main, &new.main).live;
    live.extend(log(&old.log, &new.log).live);
    live.extend(differ([("shutdown_timeout", old.shutdown_timeout != new.shutdown_timeout)]));
    live.into_iter().map(str::to_owned).collect()
}

/// What takes a new start of the wrapper.
pub(super) fn of_whole(old: &Loaded, new: &Loaded) -> Vec<String> {
    let Config {
        main: new_main,
        // They have a plan of their own.
        coprocesses: _,
        // They are opened and closed by name.
        exec_sockets: _,
        // Told apart by their keys below.
        coordinator: _,
        gateway: _,
        control: _,
        // What the keys below come to.
        conf_path: _,
        facts: _,
        scope: _,
        log: new_log,
        run_path,
        template,
        // Of templates, which see all.
        template_values: _,
        // Changes at once.
        shutdown_timeout: _,
        subreaper,
        stray_timeout,
        warnings: _,
    } = &new.config;
    let before = &old.config;
    let mut whole: Vec<String> = differ([
        ("run_path", *run_path != before.run_path),
        ("subreaper", *subreaper != before.subreaper),
        ("stray_timeout", *stray_timeout != before.stray_timeout),
    ])
    .into_iter()
    .map(str::to_owned)
    .collect();
    // Names in commands and paths stand for them.
    for key in ["host_id", "vcpu_count", "conf_path", "modules_path", "nginx_binary", "plugin_path"]
    {
        whole.extend(old.differing(new, key));
    }
    let mut keys = main(&before.main, new_main).anew;
    keys.extend(log(&before.log, new_log).anew);
    whole.extend(keys.into_iter().map(str::to_owned));
    let context = of_context(&before.main.context, &new_main.context);
    whole.extend(context.into_iter().map(|key| format!("main.{key}")));
    for table in ["coordinator", "control"] {
        whole.extend(old.differing(new, table));
    }
    let apis = of_apis(old, new);
    whole.extend(old.differing(new, "gateway").into_iter().filter(|key| !apis.contains(key)));
    if *template != before.template {
        let keys = old.differing(new, "template");
        whole.extend(if keys.is_empty() { vec!["enabled_plugins".to_owned()] } else { keys });
    }
    whole
}

/// The gateway's APIs, where there is a gateway before and after.
pub(super) fn of_apis(old: &Loaded, new: &Loaded) -> Vec<String> {
    if old.config.gateway.is_none() || new.config.gateway.is_none() {
        return Vec::new();
    }
    let are_apis = |key: &String| key == "gateway.api" || key == "gateway.app_path";
    old.differing(new, "gateway").into_iter().filter(are_apis).collect()
}

/// The user's own values that templates see.
pub(super) fn of_templates(old: &Loaded, new: &Loaded) -> Vec<String> {
    let mut keys: Vec<_> = ["env"].into_iter().map(str::to_owned).collect();
    keys.extend(old.unknown_top().iter().chain(new.unknown_top()).cloned());
    keys.sort();
    keys.dedup();
    keys.iter().flat_map(|key| old.differing(new, key)).collect()
}

fn main(old: &Main, new: &Main) -> Changed {
    let Main {
        kind,
        exec,
        exec_event,
        // Of what any program is started with, which all programs have.
        context: _,
        log,
        ready,
        live,
        stop_signal,
        stop_timeout,
        reload_signal,
        check,
        check_timeout,
        reload_timeout,
        watch,
        watch_delay,
    } = new;
    // Of its own words follows what checks them.
    let exec_differs = *exec != old.exec;
    Changed {
        anew: differ([
            ("main.kind", *kind != old.kind),
            ("main.exec", exec_differs),
            ("main.exec_event", *exec_event != old.exec_event),
            ("main.ready", *ready != old.ready),
            ("main.live", *live != old.live),
        ]),
        live: differ([
            ("main.stop_signal", *stop_signal != old.stop_signal),
            ("main.stop_timeout", *stop_timeout != old.stop_timeout),
            ("main.reload_signal", *reload_signal != old.reload_signal),
            ("main.check", !exec_differs && *check != old.check),
            ("main.check_timeout", *check_timeout != old.check_timeout),
            ("main.reload_timeout", *reload_timeout != old.reload_timeout),
            ("main.log", *log != old.log),
            ("main.watch", *watch != old.watch),
            ("main.watch_delay", *watch_delay != old.watch_delay),
        ]),
    }
}

fn log(old: &LogConfig, new: &LogConfig) -> Changed {
    let LogConfig {
        level,
        destination,
        form,
        options,
        max_line,
        history,
        queue,
        drain_timeout,
        rotation,
        forward,
    } = new;
    let size = |log: &LogConfig| log.rotation.map(|rotation| rotation.max_size);
    let size_differs = rotation.map(|rotation| rotation.max_size) != size(old);
    let of_sink = differ([
        ("log.destination", *destination != old.destination),
        ("log.formatter_name", *form != old.form),
        ("log.formatter_options", *options != old.options),
        ("log.max_size", size_differs),
        ("log.keep", !size_differs && *rotation != old.rotation),
    ]);
    // What is on its way to others would be cut short with the sink that has it.
    let forwards = !forward.is_empty() || !old.forward.is_empty();
    let (mut anew, mut live) = match forwards {
        true => (of_sink, Vec::new()),
        false => (Vec::new(), of_sink),
    };
    live.extend(differ([("log.level", *level != old.level)]));
    anew.extend(differ([
        ("log.forward", *forward != old.forward),
        ("log.max_line", *max_line != old.max_line),
        ("log.history", *history != old.history),
        ("log.queue", *queue != old.queue),
        ("log.drain_timeout", *drain_timeout != old.drain_timeout),
    ]));
    Changed { anew, live }
}
