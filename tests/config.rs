//! The config as a user meets it: files, variables and flags in, a report or a listing out.

#[path = "support/snapshot.rs"]
mod snapshot;

use proptest::prelude::*;
use snapshot::{assert, coproc, folder};

/// A coprocess that is right, for what is wrong elsewhere.
const GOOD: &str = r#"
[coprocess.good]
name = "good"
exec = ["true"]
restarts = "never"
exec_event = "pre-start"
"#;

/// A stand-in for nginx that answers -V.
const NGINX: &str = "#!/bin/sh\necho 'nginx version: nginx/1.22.1' >&2\n\
    echo 'configure arguments: --prefix=/x --modules-path=/x/mods' >&2\n";

/// A gateway that is right, with an API of its own.
const GATEWAY: &str = r#"
[gateway]
listen = ["127.0.0.1:8080", "unix:///run/gateway.sock"]
grpc = "tcp://127.0.0.1:5555"
hash_keys = "true"

[gateway.store]
redis = "redis://127.0.0.1:6379/0"

[gateway.limits]
max_body = "1MiB"

[[gateway.api]]
api_id = "orders"
use_keyless = true
proxy = { listen_path = "/orders/", target_url = "http://127.0.0.1:9001/" }
custom_middleware = { driver = "grpc", pre = [{ name = "Stamp" }] }
"#;

/// One invocation in a folder of its own, compared with the snapshot of the test's name.
macro_rules! case {
    (fn $name:ident: [$($argument:expr),*] { $($file:literal: $text:expr),* $(,)? } $(env { $($variable:literal: $value:literal),* $(,)? })?) => {
        #[test]
        fn $name() {
            let folder = folder(&[$(($file, $text)),*]);
            let environment: &[(&str, &str)] = &[$($(($variable, $value)),*)?];
            let output = coproc(folder.path(), &[$($argument),*], environment);
            assert(concat!("config__", stringify!($name)), &output.show());
        }
    };
}

/// A coprocess with one line replaced or added.
macro_rules! wrong {
    ($name:ident: $key:literal = $value:literal) => {
        #[test]
        fn $name() {
            let mut text = String::from("[coprocess.consul]\n");
            for (key, value) in [
                ("name", "\"consul\""),
                ("exec", "[\"consul\", \"agent\"]"),
                ("restarts", "\"unlimited\""),
                ("exec_event", "\"pre-start\""),
            ] {
                if key != $key {
                    text.push_str(&format!("{key} = {value}\n"));
                }
            }
            text.push_str(concat!($key, " = ", $value, "\n"));
            let folder = folder(&[("coproc.toml", &text)]);
            let output = coproc(folder.path(), &["check"], &[]);
            assert(concat!("config__", stringify!($name)), &output.show());
        }
    };
}

// The rules of a coprocess.
wrong!(name_blank: "name" = "\"  \"");
wrong!(name_with_a_dot: "name" = "\"a.b\"");
wrong!(name_main: "name" = "\"main\"");
wrong!(name_is_a_number: "name" = "3");
wrong!(exec_empty_list: "exec" = "[]");
wrong!(exec_blank_text: "exec" = "\"   \"");
wrong!(exec_blank_program: "exec" = "[\"\"]");
wrong!(exec_number: "exec" = "3");
wrong!(exec_list_in_a_list: "exec" = "[\"a\", [\"b\"]]");
wrong!(exec_open_quote: "exec" = "\"sh -c 'echo\"");
wrong!(stop_exec_open_quote: "stop_exec" = "'consul \"leave'");
wrong!(restarts_upper_case: "restarts" = "\"Never\"");
wrong!(restarts_negative: "restarts" = "-1");
wrong!(restarts_fraction: "restarts" = "1.5");
wrong!(restarts_internal_word: "restarts" = "\"terminating\"");
wrong!(restarts_overflow: "restarts" = "99999999999999999999");
wrong!(restarts_boolean: "restarts" = "true");
wrong!(restarts_table: "restarts" = "{ times = 3 }");
wrong!(background_number: "background" = "1");
wrong!(background_word: "background" = "\"yes\"");
wrong!(pause_without_unit: "time_between_restarts" = "3");
wrong!(pause_in_days: "time_between_restarts" = "\"1d\"");
wrong!(event_upper_case: "exec_event" = "\"Start\"");
wrong!(event_of_nobody: "stop_event" = "\"coprocess.consol.exited\"");
wrong!(event_of_a_coprocess_cut_short: "stop_event" = "\"coprocess.consul\"");
wrong!(stop_event_blank: "stop_event" = "\"\"");
wrong!(umask_number: "umask" = "27");
wrong!(umask_not_octal: "umask" = "\"0088\"");
wrong!(limits_unknown_resource: "limits" = "{ nofiles = 1024 }");
wrong!(limits_soft_above_hard: "limits" = "{ nofile = \"2048:1024\" }");
wrong!(limits_number: "limits" = "1024");
wrong!(backoff_shrinks: "backoff" = "{ initial = \"10s\", max = \"1s\" }");
wrong!(backoff_factor: "backoff" = "{ factor = 0.5 }");
wrong!(backoff_unknown_key: "backoff" = "{ maximum = \"1s\" }");
wrong!(restart_limit_without_count: "restart_limit" = "{ window = \"1m\" }");
wrong!(exit_code_too_large: "success_exit_codes" = "[0, 256]");
wrong!(on_give_up_word: "on_give_up" = "\"exit\"");
wrong!(env_is_a_list: "env" = "[\"A=1\"]");
wrong!(env_value_is_a_secret_list: "env" = "{ API_TOKEN = [\"hunter2\"] }");
wrong!(unknown_key: "bakground" = "true");
wrong!(unknown_key_like_none: "zzz" = "1");

// Probes.
wrong!(probe_of_nothing: "ready" = "{ interval = \"1s\" }");
wrong!(probe_of_several: "ready" = "{ file = \"/run/x\", tcp = \"localhost:80\", fd = 3 }");
wrong!(probe_is_a_word: "live" = "\"http\"");
wrong!(probe_exec_blank: "ready" = "{ exec = [] }");
wrong!(probe_http_without_scheme: "ready" = "{ http = \"localhost:80/ready\" }");
wrong!(probe_https: "ready" = "{ http = \"https://localhost/ready\" }");
wrong!(probe_tcp_without_port: "ready" = "{ tcp = \"localhost\" }");
wrong!(probe_unix_blank: "ready" = "{ unix = \"\" }");
wrong!(probe_log_pattern: "ready" = "{ log = \"up (and\" }");
wrong!(probe_log_blank: "ready" = "{ log = \"\" }");
wrong!(probe_file_blank: "live" = "{ file = \" \" }");
wrong!(probe_fd_standard: "ready" = "{ fd = 1 }");
wrong!(probe_notify_off: "ready" = "{ notify = false }");
wrong!(probe_live_by_a_line: "live" = "{ log = \"up\" }");
wrong!(probe_live_by_a_descriptor: "live" = "{ fd = 3 }");
wrong!(probe_live_within: "live" = "{ notify = true, within = \"10s\" }");
wrong!(probe_without_time: "ready" = "{ file = \"/run/x\", interval = \"0s\", timeout = \"0s\" }");
wrong!(probe_counts: "ready" = "{ file = \"/run/x\", successes = 0, failures = -1 }");
wrong!(probe_unknown_key: "ready" = "{ htpp = \"http://localhost/\" }");
wrong!(probe_good: "ready" = "{ http = \"http://localhost:80/ready\", interval = \"250ms\", within = \"1m\" }");

case!(fn probe_of_main: ["check"] { "coproc.toml": "[main]\nexec = \"server\"\nready = { tcp = \"here\" }\nlive = {}\n" });
case!(fn probes_in_debug: ["debug"] {
    "coproc.toml": &format!("run_path = \"/r\"\n[main]\nexec = \"server\"\nready = {{ fd = \"3\", within = \"5s\" }}\n{GOOD}\
        ready = {{ notify = \"true\", failures = 5 }}\nlive = {{ exec = [\"curl\", \"-f\", \"http://localhost/\"], timeout = \"2s\" }}\n")
} env { "COPROC_COPROCESS__GOOD__LIVE__INTERVAL": "10s" });

case!(fn nothing_required_is_there: ["check"] { "coproc.toml": "[coprocess.web]\n" });
case!(fn coprocess_is_no_table: ["check"] { "coproc.toml": "[coprocess]\nweb = 3\n" });
case!(fn coprocesses_are_no_table: ["check"] { "coproc.toml": "coprocess = \"web\"\n" });
case!(fn one_name_twice: ["check"] { "coproc.toml": &format!("{GOOD}{}", GOOD.replace("coprocess.good", "coprocess.other")) });
case!(fn one_key_twice_in_other_case: ["check"] { "coproc.toml": "run_path = \"/a\"\nRun_Path = \"/b\"\n[log]\nlevel = \"info\"\n[Log]\nLEVEL = \"debug\"\n" });
case!(fn many_problems_at_once: ["check"] {
    "coproc.toml": r#"
run_pth = "/run/x"
shutdown_timeout = "soon"

[log]
level = "loud"
formater_name = "text"

[coprocess.zeta]
name = "zeta"
exec = "zeta"
restarts = "sometimes"
exec_event = "pre-start"
background = "maybe"

[coprocess.alpha]
name = "alpha"
stop_event = "coprocess.zet.exited"
"#
});
case!(fn w62_one_section_wrong_in_all_six_fields: ["check"] {
    "coproc.toml": &format!(r#"
[coprocess.bad]
name = ""
exec = ""
restarts = "terminating"
time_between_restarts = "blah"
exec_event = "begin"
stop_event = "end"
{GOOD}"#)
});
case!(fn w63_restarts_missing: ["check"] {
    "coproc.toml": "[coprocess.a]\nname = \"a\"\nexec = \"true\"\nexec_event = \"start\"\n"
});

// The other tables.
case!(fn log_level: ["check"] { "coproc.toml": "[log]\nlevel = \"verbose\"\n" });
case!(fn log_level_number: ["check"] { "coproc.toml": "[log]\nlevel = 3\n" });
case!(fn log_rules: ["check"] { "coproc.toml":
    "[main]\nexec = \"true\"\nlog = { rate = \"10\", on_full = \"wait\", size = 1 }\n\
     [coprocess.a]\nname = \"a\"\nexec = \"true\"\nrestarts = \"never\"\nexec_event = \"start\"\n\
     log = { burst = 5, buffer = \"1kB\" }\n" });
case!(fn log_forwards: ["check"] { "coproc.toml":
    "[log.forward.a]\nto = \"https://c:4318\"\n[log.forward.b]\nqueue = 0\n\
     [log.forward.c]\nto = \"udp://h:514\"\nfacility = \"local9\"\nresource = { a = \"b\" }\n\
     [log.forward.d]\nto = \"http://h:4318\"\nfacility = \"user\"\nheaders = { \"a b\" = \"c\" }\n\
     [log.forward.e]\n" });
case!(fn log_formatter: ["check"] { "coproc.toml": "[log]\nformatter_name = \"XML\"\n" });
case!(fn log_formatter_options: ["check"] { "coproc.toml": "[log.formatter_options]\nFullTimestamp = \"maybe\"\nColour = true\n" });
case!(fn log_sizes: ["check"] { "coproc.toml": "[log]\nmax_line = 3\nhistory = \"1 bushel\"\nqueue = 0\nmax_size = \"0\"\nkeep = -1\n" });
case!(fn log_is_no_table: ["check"] { "coproc.toml": "log = \"debug\"\n" });
case!(fn main_without_words: ["check"] { "coproc.toml": "[main]\nexec = []\n" });
case!(fn main_program_without_exec: ["check"] { "coproc.toml": "[main]\nkind = \"program\"\n" });
case!(fn times_below_zero: ["check"] {
    "coproc.toml": "shutdown_timeout = \"-1s\"\n[main]\nstop_timeout = \"-5s\"\nready = { tcp = \"127.0.0.1:1\", within = \"-1ms\" }\n"
});
case!(fn a_long_line_is_shown_in_part: ["check"] {
    "coproc.toml": concat!(
        "[coprocess]\na = { name = \"a\", exec = [\"agent\", \"-config-dir=/etc/agent\", \"-data-dir=/var/lib/agent\", ",
        "\"-node=edge\"], restarts = \"often\", exec_event = \"pre-start\", stop_exec = [\"agent\", \"leave\", ",
        "\"-http-addr=127.0.0.1:8500\", \"-timeout=10s\", \"-reason=the machine is being replaced\"] }\n"
    )
});
case!(fn main_kind: ["check"] { "coproc.toml": "[main]\nkind = \"apache\"\n" });
case!(fn main_watch: ["check"] { "coproc.toml": "[main]\nkind = \"none\"\nwatch = [\"a\", \" \"]\nwatch_delay = \"soon\"\n" });
case!(fn main_watch_of_what_is_rendered: ["check"] { "coproc.toml": "[main]\nwatch = \"conf.d conf\"\n[template]\nconf_output_path = \"conf/out\"\n" });
case!(fn times_that_do_not_fit: ["check"] { "coproc.toml": "shutdown_timeout = \"20s\"\n[main]\nstop_timeout = \"15s\"\n[coprocess.a]\nname = \"a\"\nexec = \"a\"\nrestarts = 0\nexec_event = \"start\"\nstop_timeout = \"10s\"\n" });
case!(fn main_signal: ["check"] { "coproc.toml": "[main]\nstop_signal = \"STOPP\"\nreload_signal = 65\n" });
case!(fn main_waits_for_itself: ["check"] { "coproc.toml": "[main]\nexec_event = \"start\"\n" });
case!(fn control_mode: ["check"] { "coproc.toml": "[control]\nmode = \"rw-------\"\n" });
case!(fn control_listen: ["check"] {
    "coproc.toml": "[control]\nlisten = [\"127.0.0.1:0\", \"localhost:9090\", \":9090\", \"[::1]\"]\n"
});
case!(fn control_listen_of_a_variable: ["check"] {
    "coproc.toml": "[control]\nlisten = \"127.0.0.1:9090\"\n"
} env { "COPROC_CONTROL__LISTEN": "127.0.0.1:90900" });
case!(fn control_listen_on_two: ["debug"] {
    "coproc.toml": "[main]\nexec = \"x\"\ncheck = \"x --check '${host_id} a'\"\n[control]\nlisten = \"127.0.0.1:9090\"\n"
} env { "COPROC_CONTROL__LISTEN": "127.0.0.1:9090 [::1]:9090", "PATH": "/usr/bin" });
case!(fn main_check: ["check"] {
    "coproc.toml": "[main]\ncheck = []\ncheck_timeout = \"soon\"\n"
});
case!(fn main_check_program: ["check"] {
    "coproc.toml": "[main]\ncheck = [\" \", \"-t\"]\n"
});
case!(fn control_mode_number: ["check"] { "coproc.toml": "[control]\nmode = 600\n" });
case!(fn vcpu_count_zero: ["check"] { "coproc.toml": "vcpu_count = 0\n" });
case!(fn subreaper_word: ["check"] { "coproc.toml": "subreaper = \"on\"\n" });
case!(fn template_unknown_key: ["check"] { "coproc.toml": "[template]\ntemplate_sufix = \".t\"\n" });
case!(fn gateway_drivers_without_what_they_need: ["check"] { "coproc.toml": "[gateway]\nlua = { memory = \"4KiB\" }\nnative = { }\n" });
case!(fn gateway_good: ["check"] { "coproc.toml": GATEWAY });
case!(fn gateway_plugin_server_that_is_no_coprocess: ["check"] { "coproc.toml": &format!("[gateway]\ngrpc = \"h:1\"\ngrpc_coprocess = \"goood\"\nauth_request = \"auth\"\n{GOOD}") });
case!(fn gateway_unknown_key: ["check"] { "coproc.toml": "[gateway]\nlissten = \"127.0.0.1:80\"\n[gateway.limits]\nmax_conections = 3\n" });
case!(fn gateway_nowhere_to_listen: ["check"] { "coproc.toml": "[gateway]\nlisten = [\"127.0.0.1:80\", \"localhost:80\"]\n" });
case!(fn gateway_wrong_addresses_of_plugins: ["check"] { "coproc.toml": "[gateway]\ngrpc = [\"://invalid\", \"localhost:9000\"]\n" });
case!(fn gateway_wrong_words_and_numbers: ["check"] {
    "coproc.toml": "[gateway]\ncompat = \"lenient\"\nhash_key_function = \"md5\"\nhook_timeout = \"30\"\ngrpc_channels = 0\nmin_token_length = -1\nenable_coprocess = \"yes\"\n"
});
case!(fn gateway_tls_without_its_key: ["check"] { "coproc.toml": "[gateway.tls]\ncertificate = \"/c.pem\"\n" });
case!(fn gateway_wrong_store: ["check"] { "coproc.toml": "[gateway.store]\npath = \"x\"\nredis = \"http://127.0.0.1\"\n" });
case!(fn gateway_store_with_credentials_in_the_url: ["check"] { "coproc.toml": "[gateway.store]\nredis = \"redis://:hunter2@127.0.0.1/\"\n" });
case!(fn gateway_wrong_definitions_in_the_config: ["check"] {
    "coproc.toml": r#"
[[gateway.api]]
api_id = "a"
use_keyless = true
proxy = { listen_path = "/a/", target_url = "http://127.0.0.1:1/" }

[[gateway.api]]
api_id = "a"
use_keyless = "yes"
proxy = { target_url = "ftp://127.0.0.1" }

[[gateway.api]]
api_id = "b"
custom_plugin_auth_enabled = true
proxy = { listen_path = "/b/", target_url = "http://127.0.0.1:1/" }
custom_middleware.driver = "grpc"
custom_middleware.pre = [{ name = "x", timeout = "soon", on_error = { mode = "ajar" } }]
custom_middleware.id_extractor = { extract_from = "body", extract_with = "value" }
"#,
});
case!(fn gateway_wrong_definitions_in_a_variable: ["check"] {
    "coproc.toml": "[gateway]\n"
} env { "COPROC_GATEWAY__API": "{\"api_id\": \"a\"}", "COPROC_GATEWAY__LISTEN": "here", "COPROC_GATEWAY__LIMITS__MAX_BODY": "big" });
case!(fn gateway_wrong_definitions_in_a_folder: ["check"] {
    "coproc.toml": "[gateway]\napp_path = \"apps\"\npolicies = \"policies.json\"\n",
    "policies.json": "{\"p\": {\"rate\": true}}",
    "apps/a.json": "{\"api_id\": \"a\", \"use_keyless\": true, \"proxy\": {\"listen_path\": \"/a/\", \"target_url\": \"http://h\"}}",
    "apps/b.json": "{\n  \"api_id\": \"b\",\n  \"proxy\": {\"listen_path\": \"/b/\", \"target_url\": 7}\n}\n",
    "apps/c.json": "{\"api_id\": }",
    "apps/d.json": "{\"api_id\": \"a\", \"use_keyless\": true,\n \"proxy\": {\"listen_path\": \"/d/\", \"target_url\": \"http://h\"}}",
    "apps/e.json": "{\"api_id\": \"e\", \"use_keyless\": true, \"proxy\": {\"listen_path\": \"/e/\", \"target_url\": \"http://h\"},\n \"custom_middleware\": {\"driver\": \"python\", \"pre\": [{\"name\": \"x\"}]}}",
});
case!(fn gateway_no_time_at_all: ["check"] {
    "coproc.toml": "[gateway]\nhook_timeout = \"0s\"\nlimits = { client_timeout = \"0ms\" }\n"
});
case!(fn gateway_certificates_that_are_not_there: ["check"] {
    "coproc.toml": "[gateway]\nupstream_ca = \"ca.pem\"\ntls = { certificate = \"c.pem\", key = \"k.pem\" }\n"
});
case!(fn gateway_hooks_in_native_code_that_are_not_there: ["check"] {
    "coproc.toml": "[gateway]\nnative = { library = \"hooks.so\" }\n"
});
case!(fn gateway_folder_that_is_not_there: ["check"] { "coproc.toml": "[gateway]\napp_path = \"apps\"\n" });
case!(fn gateway_in_debug: ["debug"] {
    "coproc.toml": &format!("run_path = \"/r\"\n[main]\nexec = \"server\"\n{GATEWAY}")
} env { "COPROC_GATEWAY__SECRET": "hunter2", "COPROC_GATEWAY__STORE__PASSWORD": "hunter2" });
case!(fn exec_socket_without_a_path: ["check"] { "coproc.toml": "[exec_socket]\nmode = \"0600\"\n" });
case!(fn exec_socket_of_nothing: ["check"] { "coproc.toml": "[exec_socket]\n" });
case!(fn exec_socket_is_no_table: ["check"] { "coproc.toml": "exec_socket = \"/run/e.sock\"\n" });
case!(fn exec_socket_path_too_long: ["check"] {
    "coproc.toml": concat!("[exec_socket]\npath = \"/0123456789012345678901234567890123456789",
        "0123456789012345678901234567890123456789012345678901234567890123456789\"\n")
});
case!(fn exec_sockets_by_name: ["check"] {
    "coproc.toml": "[exec_socket.web]\npath = \"/w\"\nmax_conections = 3\n[exec_socket.jobs]\ntermsig = \"text\"\n"
});
case!(fn exec_socket_wrong_values: ["check"] {
    "coproc.toml": "[exec_socket]\npath = \"/e\"\nmode = \"0888\"\nmax_connections = 0\ntimeout = \"60\"\nkill_timeout = 10\ndrain = \"soon\"\nexec_failure = \"die\"\nhalf_close = true\nkill_scope = \"all\"\nworkers = -1\n"
});
case!(fn exec_socket_allow: ["check"] {
    "coproc.toml": "[exec_socket]\npath = \"/e\"\nallow = [\"uname\", { program = \"/bin/ls\", argv = \"x\" }, {}]\n"
});
case!(fn exec_socket_allow_pattern: ["check"] {
    "coproc.toml": "[exec_socket]\npath = \"/e\"\nallow = [{ argv = \"a)(b\" }]\n"
});
case!(fn exec_socket_allow_unknown_key: ["check"] {
    "coproc.toml": "[exec_socket]\npath = \"/e\"\nallow = [{ programm = \"/bin/ls\" }]\n"
});
case!(fn exec_socket_peers_of_nobody: ["check"] {
    "coproc.toml": "[exec_socket]\npath = \"/e\"\npeer_users = []\n"
});
case!(fn exec_socket_that_cannot_be: ["check"] {
    "coproc.toml": "[exec_socket]\npath = \"/e\\u0000\"\nowner = \":\"\nworkers = 1025\ncwd = \"/\\u0000\"\n[exec_socket.env]\n\"A=B\" = \"c\"\nD = \"e\\u0000f\"\nTOKEN = \"x\\u0000y\"\nRIGHT = \"=\"\n"
});
case!(fn exec_sockets_at_one_path: ["check"] {
    "coproc.toml": "[exec_socket.web]\npath = \"/run//./e.sock\"\n[exec_socket.jobs]\npath = \"/run/e.sock\"\n[exec_socket.other]\npath = \"${run_path}/e.sock\"\n"
});
case!(fn env_that_cannot_be_passed_on: ["check"] {
    "coproc.toml": "[main]\nenv = { \"A=B\" = \"c\" }\n[coprocess.consul]\nname = \"consul\"\nexec = \"consul\"\nrestarts = \"never\"\nexec_event = \"start\"\nenv = { \"\" = \"c\" }\n"
});
case!(fn rights_that_cannot_be: ["check"] {
    "coproc.toml": "[main]\ncapabilities = [\"CAP_CHOWN\", \"CAP_NET_BIND\"]\noom_score_adj = 1001\nno_new_privs = \"maybe\"\n[exec_socket]\npath = \"/e\"\nenv_pass = [\"A*B\", \"\"]\nenv = { A = \"1\" }\n[exec_socket.secrets]\nA = \"/a\"\nB = \"\"\n\"C=D\" = \"/c\"\n[gateway.python]\nsecrets = { X = 7 }\n"
});
case!(fn rights_in_debug: ["debug"] {
    "coproc.toml": "run_path = \"/r\"\n[main]\nexec = \"server\"\ncapabilities = [\"CAP_CHOWN\"]\n[main.secrets]\nDB_PASSWORD = \"/run/secrets/db\"\nOther = \"/run/secrets/other\"\n"
} env { "COPROC_MAIN__NO_NEW_PRIVS": "true", "COPROC_MAIN__SECRETS__Third_file": "/run/secrets/third", "COPROC_MAIN__OOM_SCORE_ADJ": "-5" });
case!(fn schedules_that_cannot_be: ["check"] {
    "coproc.toml": "[coprocess.a]\nname = \"a\"\nexec = \"true\"\nschedule = { }\n[coprocess.b]\nname = \"b\"\nexec = \"true\"\nschedule = { every = \"1h\", cron = \"@daily\" }\n[coprocess.c]\nname = \"c\"\nexec = \"true\"\nschedule = { every = \"10ms\", zone = \"UTC\", overlap = \"twice\" }\n[coprocess.d]\nname = \"d\"\nexec = \"true\"\nschedule = { cron = \"*/5 * 31 feb *\" }\n[coprocess.e]\nname = \"e\"\nexec = \"true\"\nschedule = { cron = \"0 25 * * *\", zone = \"Berlin\" }\n[coprocess.f]\nname = \"f\"\nexec = \"true\"\nschedule = { every = \"1m\", jitter = \"60s\", evry = 1 }\n[coprocess.g]\nname = \"g\"\nexec = \"true\"\nschedule = \"@daily\"\n"
});
case!(fn after_nobody_and_after_each_other: ["check"] {
    "coproc.toml": "[coprocess.a]\nname = \"a\"\nexec = \"a\"\nrestarts = \"never\"\nafter = [\"b\", \"start\"]\n[coprocess.b]\nname = \"b\"\nexec = \"b\"\nrestarts = \"never\"\nafter = \"database.redy db\"\n[coprocess.db]\nname = \"database\"\nexec = \"db\"\nrestarts = \"never\"\nexec_event = \"coprocess.cache.ready\"\n[coprocess.cache]\nname = \"cache\"\nexec = \"cache\"\nrestarts = \"never\"\nafter = [\"cache2\", \"database\"]\n[coprocess.self]\nname = \"self\"\nexec = \"self\"\nrestarts = \"never\"\nafter = [\"self.started\"]\n[coprocess.nobody]\nname = \"nobody\"\nexec = \"nobody\"\nrestarts = \"never\"\nafter = []\n"
});
case!(fn replicas_that_cannot_be: ["check"] {
    "coproc.toml": "[coprocess.web]\nname = \"web\"\nexec = \"a\"\nrestarts = \"never\"\nexec_event = \"start\"\nreplicas = 3\n[coprocess.other]\nname = \"web-2\"\nexec = \"a\"\nrestarts = \"never\"\nexec_event = \"coprocess.web-4.ready\"\n[coprocess.all]\nname = \"all\"\nexec = \"a\"\nrestarts = \"never\"\nreplicas = 1025\nexec_event = \"coprocess.web.ready\"\nstop_event = \"coprocess.web-3.failed\"\n"
});
case!(fn no_replicas_at_all: ["check"] {
    "coproc.toml": "[coprocess.web]\nname = \"web\"\nexec = \"a\"\nrestarts = \"never\"\nexec_event = \"start\"\nreplicas = 0\n"
});
case!(fn places_that_are_listened_on_twice: ["check"] {
    "coproc.toml": "[control]\nlisten = [\"127.0.0.1:9090\", \"[::1]:9090\", \"127.0.0.1:0\", \"127.0.0.1:0\"]\n[gateway]\nlisten = [\"0.0.0.0:9090\", \"127.0.0.1:8080\", \"127.0.0.1:8080\", \"unix:///a\", \"unix:/a\"]\n"
});
case!(fn exec_socket_event: ["check"] {
    "coproc.toml": "[main]\nexec_event = \"exec.ended\"\n"
});
case!(fn main_of_no_kind_with_a_program: ["check"] {
    "coproc.toml": "[main]\nkind = \"none\"\nexec = \"server\"\n"
});
case!(fn near_miss_at_the_top_level: ["check"] { "coproc.toml": "run_pth = \"/x\"\n[coproces.web]\nname = \"web\"\n[site]\nname = \"x\"\n" });
case!(fn values_that_are_found_out: ["check"] { "coproc.toml": "nginx_version = \"9.9.9\"\n" });

// Other formats.
case!(fn json_wrong_values: ["check", "-c", "c.json"] {
    "c.json": "{\n  \"coprocess\": {\n    \"web\": {\n      \"name\": \"web\", \"exec\": \"web\",\n      \"restarts\": \"sometimes\",\n      \"exec_event\": \"start\", \"colour\": 1\n    },\n    \"api\": { \"name\": \"api\" }\n  }\n}\n"
});
case!(fn json_key_twice: ["check", "-c", "c.json"] { "c.json": "{ \"run_path\": \"/a\",\n  \"run_path\": \"/b\" }" });
case!(fn yaml_wrong_values: ["check", "-c", "c.yaml"] {
    "c.yaml": "coprocess:\n  web:\n    name: web\n    exec: [web, -p, 80]\n    restarts: sometimes\n    exec_event: start\n    umask: 0028\n    bakground: yes\n  api:\n    name: api\n"
});
case!(fn yaml_alias_bomb: ["check", "-c", "c.yml"] {
    "c.yml": "a: &a [x, x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]\nc: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b, *b]\nd: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c, *c]\ne: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d, *d]\nf: [*e, *e, *e]\n"
});
case!(fn yaml_two_documents: ["check", "-c", "c.yml"] { "c.yml": "run_path: /a\n---\nrun_path: /b\n" });
case!(fn w08_broken_toml: ["debug"] { "coproc.toml": "run_path = \"/x\n[log]\n" });
case!(fn w08_broken_json: ["debug", "--config", "c.json"] { "c.json": "{ \"run_path\": \"/x\", }" });
case!(fn w08_broken_yaml: ["debug", "--config", "c.yaml"] { "c.yaml": "log:\n  level: [info\nrun_path: x\n" });
case!(fn json_that_is_no_object: ["check", "-c", "c.json"] { "c.json": "[1, 2]" });

case!(fn yaml_places_after_wide_characters: ["check", "-c", "c.yaml"] {
    "c.yaml": "# größer → 日本\nsite: { größe: 日本 }\nlog: { destination: \"日本\", level: loud }\n"
});
case!(fn toml_places_after_wide_characters: ["check"] {
    "coproc.toml": "# größer → 日本\nlog = { destination = \"日本\", level = \"loud\" }\n"
});
case!(fn yaml_alias_within_itself: ["check", "-c", "c.yaml"] { "c.yaml": "a: &a [*a]\n" });
case!(fn yaml_key_that_is_no_text: ["check", "-c", "c.yaml"] { "c.yaml": "[a, b]: c\n" });

// Files.
case!(fn w05_no_default_file: ["check"] {});
case!(fn w06_no_such_file: ["debug", "--config", "nope.toml"] {});
case!(fn w09_suffix: ["debug", "--config", "a.conf"] { "a.conf": "" });
case!(fn w09_no_suffix: ["debug", "--config", "noext"] { "noext": "" });
case!(fn w09_upper_case_suffix: ["debug", "--config", "a.TOML"] { "a.TOML": "" });
case!(fn w09_directory: ["debug", "--config", "folder.toml"] { "folder.toml/x": "" });
case!(fn blank_file_name: ["check", "--config", ""] {});
case!(fn several_files_that_cannot_be_read: ["check", "-c", "a.toml", "-c", "b.toml", "-c", "c.ini"] { "a.toml": "x = " });
case!(fn config_variable: ["check"] { "x.toml": GOOD } env { "COPROC_CONFIG": "x.toml" });
case!(fn config_variable_is_blank: ["check"] { "nginx-wrapper.toml": GOOD } env { "COPROC_CONFIG": "" });
case!(fn config_variable_loses_to_the_flag: ["check", "-c", "y.toml"] { "y.toml": "" } env { "COPROC_CONFIG": "x.toml" });

#[test]
fn w07_a_file_that_may_not_be_read() {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder(&[("coproc.toml", GOOD)]);
    let file = folder.path().join("coproc.toml");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o000)).unwrap();
    if std::fs::read(&file).is_ok() {
        // Root may read anything.
        return;
    }
    let output = coproc(folder.path(), &["check"], &[]);
    assert("config__w07_permission", &output.show());
}

// Variables and flags.
case!(fn env_overrides_file: ["check"] {
    "coproc.toml": "[coprocess.consul-service-config]\nname = \"c\"\nexec = \"sed\"\nrestarts = \"never\"\nexec_event = \"pre-start\"\n\nbackground = \"false\"\n"
} env { "COPROC_COPROCESS__CONSUL_SERVICE_CONFIG__BACKGROUND": "maybe" });
case!(fn flag_overrides_env: ["check", "--set", "shutdown_timeout=later"] { "coproc.toml": "shutdown_timeout = \"1m\"\n" } env { "COPROC_SHUTDOWN_TIMEOUT": "2m" });
case!(fn old_variable_is_wrong: ["check"] { "coproc.toml": "" } env { "NW_LOG.LEVEL": "bogus", "NW_VCPU_COUNT": "abc" });
case!(fn new_variable_wins_over_the_old: ["check"] { "coproc.toml": "" } env { "NW_LOG_LEVEL": "debug", "COPROC_LOG__LEVEL": "bogus" });
case!(fn variables_that_are_no_keys: ["check"] { "coproc.toml": "" } env { "COPROC_HOME": "/x", "COPROC_LGO__LEVEL": "debug", "COPROC_SOCKET": "/s", "COPROC_LOG": "", "NW_NOTHING": "1" });
case!(fn variable_of_an_unknown_key: ["check"] { "coproc.toml": GOOD } env { "COPROC_COPROCESS__GOOD__BAKGROUND": "true" });
case!(fn variable_with_a_gap: ["check"] { "coproc.toml": "" } env { "COPROC_LOG____LEVEL": "debug" });
case!(fn variable_for_two_coprocesses: ["check"] {
    "coproc.toml": "[coprocess.a-b]\nname = \"1\"\nexec = \"x\"\nrestarts = 0\nexec_event = \"start\"\n[coprocess.a_b]\nname = \"2\"\nexec = \"x\"\nrestarts = 0\nexec_event = \"start\"\n"
} env { "COPROC_COPROCESS__A_B__USER": "x" });
case!(fn coprocess_of_variables_alone: ["check"] { "coproc.toml": "" } env { "COPROC_COPROCESS__NEW_ONE__NAME": "new" });
case!(fn missing_key_is_blamed_on_the_table: ["check"] { "coproc.toml": "[coprocess.web]\nname = \"web\"\nrestarts = 0\nexec_event = \"start\"\n" } env { "COPROC_COPROCESS__WEB__USER": "www" });
case!(fn flag_without_value: ["check", "--set", "main.user", "--set", "a..b=1", "--set", "=x"] { "coproc.toml": "" });
case!(fn secret_is_masked: ["check", "--set", "main.env.API_KEY.x=hunter2"] { "coproc.toml": "[main.env]\nAPI_KEY = [\"hunter3\"]\n" } env { "COPROC_MAIN__ENV__PASSWORD": "hunter4" });
case!(fn overrides_from_an_earlier_file: ["check", "-c", "base.toml", "-c", "site.json"] { "base.toml": "[log]\nlevel = \"info\"\n", "site.json": "{\"log\": {\"level\": \"noisy\"}}" });

case!(fn tables_that_are_blank: ["check", "-c", "c.yaml"] { "c.yaml": "log:\nmain:\ncoprocess:\n  web:\n" });

// Plugins.
case!(fn w102_unknown_plugin: ["check"] { "coproc.toml": "enabled_plugins = [\"template\", \"example\"]\n" });
case!(fn plugin_left_out: ["check"] { "coproc.toml": "enabled_plugins = [\"template\"]\n[coprocess.bad]\nname = \"\"\n" });

// Templates.
case!(fn template_texts_that_are_empty: ["check", "--set", "template.template_var_left_delim="] { "coproc.toml": "[template]\ntemplate_suffix = \"\"\ntemplate_var_right_delim = \"\"\n" });

// What is right.
case!(fn valid: ["check"] { "coproc.toml": GOOD });
case!(fn main_named_on_the_command_line: ["check", "--set", "main.exec=./server --port 80"] {});
case!(fn main_named_by_a_variable: ["check"] {} env { "COPROC_MAIN__EXEC": "./server --port 80" });
case!(fn w13_debug: ["debug"] { "coproc.toml": &format!("nginx_binary = \"./nginx\"\nhost_id = \"h\"\n{GOOD}"), "nginx": NGINX });
case!(fn w14_debug_of_unknown_keys: ["debug"] { "coproc.toml": "nginx_binary = \"./nginx\"\nhost_id = \"h\"\nbogus_top = 1\n[template]\nzzz = \"x\"\n[site.deep]\nname = \"n\"\nSECRET = \"s\"\n", "nginx": NGINX });
case!(fn debug_of_overridden_values: ["debug", "-c", "a.toml", "-c", "b.yaml", "--set", "vcpu_count=5"] {
    "a.toml": "nginx_binary = \"./nginx\"\nhost_id = \"h\"\nvcpu_count = 3\n[log]\nlevel = \"INFO\"\n[main]\nenv = { API_TOKEN = \"t\", A = 1 }\n",
    "b.yaml": "vcpu_count: 4\nlog:\n  formatter_options: { ForceColors: true }\n",
    "nginx": NGINX,
} env { "NW_LOG.LEVEL": "debug", "COPROC_VCPU_COUNT": "6", "DB_PASSWORD": "p", "TMPDIR": "/var/tmp" });
case!(fn debug_as_toml: ["debug", "--format", "toml"] { "coproc.toml": &format!("host_id = \"h\"\nvcpu_count = \"2\"\n[main]\nexec = ['a \"b\"', \"c\"]\n{GOOD}"), "nginx": NGINX });
case!(fn debug_as_json: ["debug", "--format", "json"] { "coproc.toml": "host_id = \"h\"\nrun_path = \"/r\"\n[main]\nexec = \"server\"\n[extra]\nx = [1, 2.5, true]\n" } env { "COPROC_VCPU_COUNT": "2" });
case!(fn w11_binary_that_may_not_be_run: ["debug"] { "coproc.toml": "nginx_binary = \"./plain\"\n", "plain": "text" });
case!(fn w11_binary_that_fails: ["debug"] { "coproc.toml": "nginx_binary = \"/bin/false\"\n" });
case!(fn w11_binary_that_says_nothing: ["debug"] { "coproc.toml": "nginx_binary = \"/bin/true\"\n" });
case!(fn w11_binary_that_is_no_nginx: ["debug"] { "coproc.toml": "nginx_binary = \"/bin/echo\"\n" });
case!(fn w10_no_nginx: ["debug"] { "coproc.toml": "nginx_binary = \"no-such-nginx\"\n" } env { "PATH": "/nowhere" });
case!(fn w18_wrong_level_in_debug: ["debug"] { "coproc.toml": "" } env { "NW_LOG.LEVEL": "bogus" });
case!(fn schema: ["schema"] {});

fn debug_values(
    files: &[(&str, &str)],
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> serde_json::Value {
    let mut all = vec![("nginx", NGINX)];
    all.extend(files);
    let folder = folder(&all);
    let mut words = vec!["debug", "--format", "json", "--set", "nginx_binary=./nginx"];
    words.extend(arguments);
    let output = coproc(folder.path(), &words, environment);
    assert_eq!(output.code, Some(0), "{}", output.show());
    serde_json::from_str::<serde_json::Value>(&output.stdout).unwrap()["values"].clone()
}

/// Every problem of many is told, in its order.
#[test]
fn thousands_of_problems() {
    let text: String = (0..2000)
        .map(|n| format!("[coprocess.c{n:04}]\nname = \"c{n:04}\"\nexec = \"true\"\nrestarts = \"x\"\nfd = -1\nexec_event = \"exit\"\n"))
        .collect();
    let folder = folder(&[("coproc.toml", &text)]);
    let output = coproc(folder.path(), &["check"], &[]);
    assert!(output.stderr.contains("(4000 problems)"), "{:.2000}", output.stderr);
    let first = output.stderr.find("coprocess.c0000.restarts").unwrap();
    assert!(first < output.stderr.find("coprocess.c1999.restarts").unwrap());
}

/// What `debug` prints as TOML is the same config once more.
#[test]
fn debug_as_toml_reads_back() {
    let folder = folder(&[
        ("coproc.toml", &format!("nginx_binary = \"./nginx\"\n{GOOD}")),
        ("nginx", NGINX),
    ]);
    for (words, coprocesses) in
        [(&[][..], "1 coprocess"), (&["--set", "enabled_plugins=template"], "no coprocesses")]
    {
        let shown = coproc(folder.path(), &[&["debug", "--format", "toml"], words].concat(), &[]);
        std::fs::write(folder.path().join("b.toml"), &shown.stdout).unwrap();
        let first = coproc(folder.path(), &[&["check"], words].concat(), &[]);
        let again = coproc(folder.path(), &["check", "-c", "b.toml"], &[]);
        assert!(again.stdout.ends_with(&format!(": {coprocesses}\n")), "{}", again.show());
        assert_eq!(first.stdout, again.stdout);
        assert_eq!(again.stderr, "");
    }
}

#[test]
fn w15_nginx_plus() {
    let plus = "#!/bin/sh\necho 'nginx version: nginx/1.23.4 (nginx-plus-r99)'\n";
    let values = debug_values(&[("coproc.toml", ""), ("nginx", plus)], &[], &[]);
    assert_eq!(values["nginx_version"]["value"], "1.23.4");
    assert_eq!(values["nginx_is_plus"]["value"], true);
    assert_eq!(values["modules_path"]["value"], "/usr/lib/nginx/modules");
}

#[test]
fn w12_a_binary_that_prints_only_its_version() {
    let bare = "#!/bin/sh\necho 'nginx version: nginx/1.2.3'\n";
    let values = debug_values(&[("coproc.toml", ""), ("nginx", bare)], &[], &[]);
    assert_eq!(values["modules_path"]["value"], "/usr/lib/nginx/modules");
}

#[test]
fn w16_the_count_of_processors() {
    let file = [("coproc.toml", "vcpu_count = 3\n")];
    let count = |values: serde_json::Value| values["vcpu_count"]["value"].clone();
    assert_eq!(count(debug_values(&file, &[], &[])), 3);
    assert_eq!(count(debug_values(&file, &[], &[("NW_VCPU_COUNT", "7")])), 7);
    assert!(count(debug_values(&[("coproc.toml", "")], &[], &[])).as_u64().unwrap() > 0);
}

#[test]
fn w17_the_level_of_the_old_variable() {
    for variable in ["NW_LOG.LEVEL", "NW_LOG_LEVEL"] {
        let file = [("coproc.toml", "[log]\nlevel = \"INFO\"\n")];
        let values = debug_values(&file, &[], &[(variable, "debug")]);
        assert_eq!(values["log.level"]["value"], "debug");
        assert_eq!(values["log.level"]["origin"]["where"], variable);
        assert_eq!(values["log.level"]["overrides"][0]["origin"]["where"], "coproc.toml:2:9");
    }
}

#[test]
fn variables_reach_every_depth() {
    let values = debug_values(
        &[(
            "c.yaml",
            "coprocess:\n  con-sul:\n    name: consul\n    exec: x\n    restarts: never\n    exec_event: start\n",
        )],
        &["-c", "c.yaml", "--set", "coprocess.con-sul.env.Mixed.Case=1"],
        &[
            ("NW_COPROCESS.CON-SUL.EXEC", "consul agent"),
            ("COPROC_COPROCESS__CON_SUL__ENV__My__Var", "2"),
            ("COPROC_COPROCESS__CON_SUL__LIMITS__NOFILE", "1024"),
            ("COPROC_COPROCESS__CON_SUL__BACKOFF__INITIAL", "1s"),
        ],
    );
    for (key, value) in [
        ("exec", "consul agent"),
        ("env.\"Mixed.Case\"", "1"),
        ("env.My__Var", "2"),
        ("limits.nofile", "1024"),
        ("backoff.initial", "1s"),
    ] {
        assert_eq!(values[format!("coprocess.con-sul.{key}")]["value"], value, "{key}");
    }
}

#[test]
fn yaml_anchors_and_merges() {
    let text = "shared: &shared\n  restarts: 3\n  exec_event: start\n  background: true\n\
        coprocess:\n  zeta:\n    <<: *shared\n    name: zeta\n    exec: [a, &word b]\n\
        \x20 alpha:\n    name: alpha\n    exec: [*word]\n    background: false\n    user:\n    <<: *shared\n";
    let folder = folder(&[("coproc.yaml", text)]);
    let sources = coproc::config::Sources {
        files: vec!["coproc.yaml".into()],
        folder: folder.path().into(),
        ..Default::default()
    };
    let config = coproc::config::load(&sources).unwrap_or_else(|e| panic!("{e}")).config;
    let [zeta, alpha] = config.coprocesses.as_slice() else { panic!("two coprocesses") };
    assert_eq!((zeta.key.as_str(), alpha.key.as_str()), ("zeta", "alpha"));
    assert_eq!(alpha.exec, ["b"]);
    assert!(zeta.policy.background && !alpha.policy.background);
    assert_eq!(alpha.context.user, None);
}

#[test]
fn w19_plugins_of_a_variable() {
    let environment = [("NW_ENABLED_PLUGINS", "template coprocess")];
    let values = debug_values(&[("coproc.toml", GOOD)], &[], &environment);
    let expected = serde_json::json!(["template", "coprocess"]);
    assert_eq!(values["enabled_plugins"]["value"], expected);
    assert_eq!(values["coprocess.good.name"]["value"], "good");
    assert_eq!(values["template.template_suffix"]["value"], ".tmpl");
}

#[test]
fn w20_the_folder_of_temporary_files() {
    let values = debug_values(&[("coproc.toml", "")], &[], &[("TMPDIR", "/var/tmp")]);
    assert_eq!(values["run_path"]["value"], "/var/tmp/nginx-wrapper");
    assert_eq!(values["conf_path"]["value"], "/var/tmp/nginx-wrapper/conf");
}

#[test]
fn w21_one_config_in_three_formats() {
    let toml = "Run_Path = \"/r\"\nvcpu_count = 3\nenabled_plugins = [\"template\", \"coprocess\"]\n\
        [log.formatter_options]\nfull_timestamp = true\n\
        [template]\ntemplate_var_left_delim = \"[[\"\ntemplate_var_right_delim = \"]]\"\n\
        [coprocess.b]\nname = \"b\"\nexec = [\"x\", \"1\"]\nrestarts = \"4\"\nexec_event = \"start\"\nbackground = true\n";
    let json = r#"{"run_path": "/r", "VCPU_count": 3, "enabled_plugins": ["template", "coprocess"],
        "log": {"formatter_options": {"FullTimestamp": true}},
        "template": {"template_var_left_delim": "[[", "template_var_right_delim": "]]"},
        "coprocess": {"b": {"name": "b", "exec": ["x", 1], "restarts": 4, "exec_event": "start", "background": true}}}"#;
    let yaml = "run_path: /r\nvcpu_count: 3\nenabled_plugins:\n  - template\n  - coprocess\n\
        log:\n  formatter_options:\n    full_timestamp: true\n\
        template:\n  template_var_left_delim: [ [\n  template_var_right_delim: ] ]\n\
        coprocess:\n  B:\n    name: b\n    exec: [x, 1]\n    restarts: '4'\n    exec_event: start\n    background: true\n";
    let values = [("c.toml", toml), ("c.json", json), ("c.yaml", yaml)].map(|(name, text)| {
        let values = debug_values(&[(name, text)], &["-c", name, "--set", "host_id=h"], &[]);
        let serde_json::Value::Object(values) = values else { panic!("an object") };
        values
            .into_iter()
            .filter(|(key, _)| {
                !["nginx_binary", "main.exec", "main.check", "env"].contains(&key.as_str())
            })
            .map(|(key, value)| {
                // JSON and YAML may leave numbers bare that TOML has as texts.
                let text = value["value"].to_string().replace('"', "");
                (key, text)
            })
            .collect::<Vec<_>>()
    });
    assert_eq!(values[0], values[1]);
    assert_eq!(values[0], values[2]);
}

#[test]
fn w22_keys_in_any_case() {
    let text = GOOD.to_uppercase().replace("\"PRE-START\"", "\"pre-start\"");
    let text = text.replace("\"NEVER\"", "\"never\"");
    let values = debug_values(&[("coproc.toml", &text)], &[], &[]);
    assert_eq!(values["coprocess.good.name"]["value"], "GOOD");
}

#[test]
fn w61_every_duration_of_go() {
    let check = |duration: &str| {
        let text = format!("{GOOD}time_between_restarts = '{duration}'\n");
        let folder = folder(&[("coproc.toml", &text)]);
        coproc(folder.path(), &["check"], &[])
    };
    for duration in [
        "0",
        "-0",
        "+5s",
        ".5s",
        "5.s",
        "1.5h",
        "1h30m",
        "100ms1h",
        "1s1s",
        "-1h30m",
        "1µs",
        "1\u{3bc}s",
        "2562047h47m16.854775807s",
    ] {
        assert_eq!(check(duration).code, Some(0), "{duration}");
    }
    for duration in [
        "5", "1.5", "00", "", "-", ".s", " 5s", "5s ", "1h 30m", "1h-30m", "1d", "1H", "1e3s",
        "1_000s",
    ] {
        let output = check(duration);
        assert_eq!(output.code, Some(2), "{duration}");
        assert!(output.stderr.contains(&format!("`{duration}` is not a duration")), "{duration}");
    }
    for duration in ["2562048h", "9223372036854775808ns", "99999999999999999999999s"] {
        let output = check(duration);
        assert_eq!(output.code, Some(2), "{duration}");
        assert!(output.stderr.contains(&format!("`{duration}` is too long")), "{duration}");
    }
}

#[test]
fn coprocesses_keep_the_order_of_the_file_in_every_format() {
    let names = ["zeta", "alpha", "mid", "beta", "Omega"];
    let lower = names.map(str::to_lowercase);
    let toml = names.map(|name| format!("[coprocess.{name}]\nname = \"{name}\"\n")).join("");
    let dotted = names.map(|name| format!("coprocess.{name}.name = \"{name}\"\n")).join("");
    let json = names.map(|name| format!("\"{name}\": {{}}")).join(",");
    let yaml = names.map(|name| format!("  {name}: {{}}\n")).join("");
    for (file, text) in [
        ("a.toml", toml),
        ("b.toml", dotted),
        ("c.json", format!("{{\"coprocess\": {{{json}}}}}")),
        ("d.yaml", format!("coprocess:\n{yaml}")),
    ] {
        assert_eq!(coproc::config::order_of_coprocesses(file, &text).unwrap(), lower, "{file}");
    }
}

#[test]
fn coprocesses_of_variables_come_last_and_sorted() {
    let text = ["zeta", "alpha"].map(|name| {
        format!("[coprocess.{name}]\nname = \"{name}\"\nexec = \"x\"\nrestarts = 0\nexec_event = \"start\"\n")
    });
    let folder = folder(&[("coproc.toml", &text.join(""))]);
    let mut sources =
        coproc::config::Sources { folder: folder.path().into(), ..Default::default() };
    for name in ["yak", "bee"] {
        for (key, value) in
            [("NAME", name), ("EXEC", "x y"), ("RESTARTS", "1"), ("EXEC_EVENT", "exit")]
        {
            let variable = format!("COPROC_COPROCESS__{}__{key}", name.to_uppercase());
            sources.environment.push((variable.into(), value.into()));
        }
    }
    let config = coproc::config::load(&sources).unwrap().config;
    let order = config.coprocesses.iter().map(|c| c.key.as_str()).collect::<Vec<_>>();
    assert_eq!(order, ["zeta", "alpha", "bee", "yak"]);
    assert_eq!(config.coprocesses[2].exec, ["x", "y"]);
}

/// A config with all keys of nginx-wrapper's own samples, in its YAML with the open brackets.
#[test]
fn w23_the_old_programs_keys() {
    let yaml = "nginx_binary: ./nginx\nrun_path: /tmp/nginx-wrapper\n\
        modules_path: /usr/lib/nginx/modules\nplugin_path: ./plugins\n\
        enabled_plugins:\n  - template\n  - example\nvcpu_count: 3\n\
        log:\n  level: INFO\n  destination: STDOUT\n  formatter_name: TextFormatter\n  \
        formatter_options:\n    full_timestamp: true\n    pad_level_text: true\n\
        template:\n  run_path_subdirs:\n    - client_body\n    - conf\n  \
        conf_template_path: ./nginx.conf.tmpl\n  conf_output_path: /tmp/nginx-wrapper/conf\n  \
        template_suffix: .tmpl\n  template_var_left_delim: [ [\n  \
        template_var_right_delim: ] ]\n  delete_templated_conf_on_exit: true\n  \
        delete_run_path_on_exit: false\nexample:\n  example_key_1: five\n";
    let folder = folder(&[("nginx-wrapper.yml", yaml), ("nginx", NGINX)]);
    let check = coproc(folder.path(), &["check", "-c", "nginx-wrapper.yml"], &[]);
    assert_eq!(check.code, Some(0), "{}", check.show());
    assert_eq!(check.stderr, "warning: enabled_plugins: coproc has no plugin `example`\n");
    let debug = coproc(folder.path(), &["debug", "-c", "nginx-wrapper.yml"], &[]);
    assert_eq!(debug.code, Some(0));
    for line in [
        "template.template_var_left_delim: [[  (nginx-wrapper.yml:23:28)",
        "template.template_var_right_delim: ]]  (nginx-wrapper.yml:24:29)",
        "example.example_key_1: ********  (nginx-wrapper.yml:28:18)",
        "template.run_path_subdirs: [client_body conf]",
    ] {
        assert!(debug.stdout.contains(line), "{line}\n{}", debug.stdout);
    }
}

#[test]
fn the_guides_example() {
    let guide = r#"
[coprocess.consul-service-config]
    name = "consul-service-config"
    exec = [ "sed", "-i", "s/__host-id__/${host_id}/g", "/opt/consul/conf.d/nginx.json" ]
    stop_exec = [ "consul", "services", "deregister", "-id=edge-nginx-${host_id}" ]
    user = "consul"
    restarts = "never"
    background = "false"
    exec_event = "pre-start"
    stop_event = "exit"

[coprocess.consul]
    name = "consul"
    exec = [ "consul", "agent", "-node=edge-${host_id}" ]
    stop_exec = [ "consul", "leave" ]
    user = "consul"
    restarts = "unlimited"
    background = true
    exec_event = "pre-start"
    stop_event = "exit"
"#;
    let folder = folder(&[("nginx-wrapper.toml", guide)]);
    let sources = coproc::config::Sources { folder: folder.path().into(), ..Default::default() };
    let config = coproc::config::load(&sources).unwrap().config;
    let names = config.coprocesses.iter().map(|c| c.name.as_str()).collect::<Vec<_>>();
    assert_eq!(names, ["consul-service-config", "consul"]);
    assert!(!config.coprocesses[0].policy.background && config.coprocesses[1].policy.background);
    assert_eq!(config.main.exec[0], "nginx");
    assert!(config.run_path.is_absolute());
}

#[test]
fn the_names_that_commands_may_use() {
    let folder =
        folder(&[("coproc.toml", "host_id = \"h1\"\nrun_path = \"run\"\n"), ("nginx", NGINX)]);
    let sources = coproc::config::Sources {
        folder: folder.path().into(),
        environment: vec![("HOSTNAME".into(), "box".into()), ("host_id".into(), "zz".into())],
        set: vec!["nginx_binary=./nginx".into()],
        ..Default::default()
    };
    let config = coproc::config::load(&sources).unwrap().with_facts(77).unwrap();
    let run = folder.path().join("run").display().to_string();
    assert_eq!(
        config.scope.interpolate(
            "${host_id} ${run_path} ${wrapper_pid} ${HOSTNAME} ${nope} ${modules_path}"
        ),
        format!("h1 {run} 77 box ${{nope}} /x/mods")
    );
    assert_eq!(config.main.exec[1..3], ["-p".to_owned(), run]);
}

#[test]
fn a_variable_that_is_not_text_is_a_problem_of_its_own() {
    use std::os::unix::ffi::OsStringExt;
    let value = std::ffi::OsString::from_vec(b"/run/\xff".to_vec());
    let sources = coproc::config::Sources {
        environment: vec![("COPROC_RUN_PATH".into(), value.clone()), ("OTHER".into(), value)],
        file_optional: true,
        ..Default::default()
    };
    let errors = coproc::config::load(&sources).unwrap_err();
    assert_eq!(
        errors.to_string(),
        "error: invalid configuration\n\n  COPROC_RUN_PATH: its value is not text\n    expected UTF-8\n"
    );
}

proptest! {
    #[test]
    fn no_text_makes_a_reader_panic(text in "(\\PC|[\\[\\]{}\"':=,&*\n -]){0,200}") {
        for name in ["a.toml", "a.json", "a.yaml"] {
            let _ = coproc::config::order_of_coprocesses(name, &text);
        }
    }

    #[test]
    fn the_order_is_that_of_the_file(
        names in proptest::collection::hash_set("[a-z][a-z0-9_-]{0,8}", 1..12)
    ) {
        let names = names.into_iter().collect::<Vec<_>>();
        let toml = names.iter().map(|n| format!("[coprocess.{n}]\n")).collect::<String>();
        let json = names.iter().map(|n| format!("\"{n}\": {{}}")).collect::<Vec<_>>().join(",");
        let yaml = names.iter().map(|n| format!("  '{n}': {{}}\n")).collect::<String>();
        let order = coproc::config::order_of_coprocesses;
        prop_assert_eq!(&order("a.toml", &toml).unwrap(), &names);
        prop_assert_eq!(&order("a.json", &format!("{{\"coprocess\": {{{json}}}}}")).unwrap(), &names);
        prop_assert_eq!(&order("a.yaml", &format!("coprocess:\n{yaml}")).unwrap(), &names);
    }
}
