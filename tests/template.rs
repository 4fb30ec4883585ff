//! Templates: what is rendered, where to, when, and what is left at the end.

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use nix::sys::signal::Signal;
use support::event::wait_for_event;
use support::{Place, Wrapper, eventually, free_port, http, puppet};

/// A template of an nginx configuration whose server says `answer`.
fn nginx_template(place: &Place, port: u16, answer: &str) -> String {
    place.nginx_conf(port, 1, "/dev/stdout info", "", &format!("return 200 \"{answer}\";"));
    let conf = place.read("run/conf/nginx.conf");
    fs::remove_dir_all(place.path().join("run")).unwrap();
    conf.replace(&format!("pid {}/", place.at("run")), "pid [[.run_path]]/")
}

/// Writes `coproc.toml` for the real nginx with templates.
fn nginx_config(place: &Place, top: &str, template: &str) {
    let text = format!(
        "run_path = \"{}\"\n{top}\n[log]\nlevel = \"DEBUG\"\n[template]\n{template}\n",
        place.at("run")
    );
    place.write("coproc.toml", &text);
}

fn mode(place: &Place, name: &str) -> u32 {
    fs::metadata(place.path().join(name)).unwrap().permissions().mode() & 0o777
}

fn reload(place: &Place) -> (Option<i32>, String) {
    let output = place.coproc(&["reload"]);
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// The wrapper gives up before the main process is started, and says why once on either side.
#[track_caller]
fn gives_up(place: &Place, why: &str) {
    let mut wrapper = place.run();
    assert_eq!(wrapper.wait(), 1, "{}", wrapper.dump());
    assert!(wrapper.stderr().contains(why), "{}", wrapper.dump());
    assert_eq!(wrapper.stderr().lines().count(), 1, "{}", wrapper.dump());
    let fatal = wrapper.lines().into_iter().filter(|l| l.contains("level=fatal"));
    let fatal = fatal.collect::<Vec<_>>();
    assert!(fatal.len() == 1 && fatal[0].contains(why), "{}", wrapper.dump());
    assert_eq!(wrapper.count(": up\""), 0, "{}", wrapper.dump());
}

/// The stand-in for nginx with templates, once it runs.
fn started(place: &Place) -> Wrapper {
    let wrapper = place.run_with(&[], &[("F_EV", "1")]);
    wrapper.wait_for(": up\"");
    wrapper
}

#[test]
fn w42_a_broken_template_at_reload_changes_nothing() {
    let place = Place::new();
    let port = free_port();
    let template = nginx_template(&place, port, "old");
    place.write("nginx.conf.tmpl", &template);
    nginx_config(&place, "", "");
    let mut wrapper = place.run();
    wait_for_event(&wrapper, "start-worker", 1);
    let before = place.read("run/conf/nginx.conf");
    place.write("nginx.conf.tmpl", "x\n [[ if ");
    wrapper.signal(Signal::SIGHUP);
    let line = wrapper.wait_for("level=error");
    assert!(line.contains("nginx.conf.tmpl:2:"), "{line}");
    let (code, stderr) = reload(&place);
    assert!(code == Some(1) && stderr.contains("nginx.conf.tmpl:2:"), "{code:?} {stderr}");
    assert_eq!(place.read("run/conf/nginx.conf"), before);
    wrapper.wait_for_nth("level=error", 2);
    assert_eq!(wrapper.count("level=error"), 2, "one line for each reload");
    assert_eq!(wrapper.count("reconfiguring"), 0);
    assert!(http::get(port, "/").ends_with("old"));
    // A rendering that nginx itself refuses does not stay either.
    place.write("nginx.conf.tmpl", &template.replace("return", "retrun"));
    let (code, stderr) = reload(&place);
    assert!(code == Some(1) && stderr.contains("retrun"), "{code:?} {stderr}");
    eventually("the old file is back", || place.read("run/conf/nginx.conf") == before);
    assert_eq!(wrapper.count("reconfiguring"), 0, "its check refused it");
    place.write("nginx.conf.tmpl", &template.replace("\"old\"", "\"new\""));
    assert_eq!(reload(&place), (Some(0), String::new()));
    eventually("the new configuration serves", || http::get(port, "/").ends_with("new"));
    assert_eq!(wrapper.stop(), 0);
    assert_eq!(fs::read_dir(place.path().join("run/conf")).unwrap().count(), 0);
}

#[test]
fn w86_a_single_template() {
    let place = Place::new();
    let port = free_port();
    let template = nginx_template(&place, port, "[[.vcpu_count]] of [[.nginx_version]]");
    place.write("nginx.conf.tmpl", &template);
    nginx_config(&place, "vcpu_count = 3", "");
    let mut wrapper = place.run();
    wait_for_event(&wrapper, "start-worker", 1);
    assert_eq!(mode(&place, "run/conf/nginx.conf"), 0o640);
    assert!(http::get(port, "/").contains("3 of 1."));
    assert_eq!(wrapper.stop(), 0);
}

#[test]
fn w87_a_single_file_that_is_no_template() {
    let place = Place::new();
    place.write("plain.conf", "[[.x]]");
    place.config("[template]\nconf_template_path = \"plain.conf\"\n");
    let mut wrapper = started(&place);
    assert_eq!(place.read("run/conf/nginx.conf"), "[[.x]]");
    assert_eq!(wrapper.stop(), 0);
}

#[test]
fn w88_a_folder_of_templates() {
    let place = Place::new();
    fs::create_dir_all(place.path().join("conf/subdir/2nd-level")).unwrap();
    place.write("conf/nginx.conf.tmpl", "[[.host_id]]");
    place.write("conf/ordinary.text", "[[.host_id]]");
    place.write("conf/subdir/2nd-level/another.conf.tmpl", "[[.own_key]] [[.own.table.key]]");
    let executable = fs::Permissions::from_mode(0o755);
    fs::set_permissions(place.path().join("conf/ordinary.text"), executable).unwrap();
    place.write(
        "coproc.toml",
        &format!(
            "host_id = \"h1\"\nown_key = \"k\"\n{}[template]\nconf_template_path = \"conf\"\n\
             [own.table]\nkey = 7\n",
            place.preamble()
        ),
    );
    let mut wrapper = started(&place);
    assert_eq!(place.read("run/conf/nginx.conf"), "h1");
    assert_eq!(place.read("run/conf/ordinary.text"), "[[.host_id]]");
    assert_eq!(place.read("run/conf/subdir/2nd-level/another.conf"), "k 7");
    let modes = ["subdir", "subdir/2nd-level", "ordinary.text"];
    let modes = modes.map(|name| mode(&place, &format!("run/conf/{name}")));
    assert_eq!(modes, [0o750, 0o750, 0o755]);
    assert_eq!(wrapper.stop(), 0);
    assert_eq!(fs::read_dir(place.path().join("run/conf")).unwrap().count(), 0);
}

#[test]
fn w89_delimiters_suffix_and_folders() {
    let place = Place::new();
    place.write("nginx.conf.tpl", "{{.template_template_suffix}} [[.x]]");
    place.config(
        "[template]\ntemplate_suffix = \".tpl\"\ntemplate_var_left_delim = \"{{\"\n\
         template_var_right_delim = \"}}\"\nrun_path_subdirs = \"conf a/b\"\n",
    );
    let mut wrapper = started(&place);
    assert_eq!(place.read("run/conf/nginx.conf"), ".tpl [[.x]]");
    assert!(place.path().join("run/a/b").is_dir());
    assert!(!place.path().join("run/scgi").exists());
    assert_eq!(wrapper.stop(), 0);
}

#[test]
fn w90_values() {
    let place = Place::new();
    place.write(
        "nginx.conf.tmpl",
        "[[.nope]] [[.env.NOPE]] [[index .env \"NOPE\"]] [[.log_level]] [[printf \"%05d\" .vcpu_count]]\n\
         [[.env.OWN]] [[.nginx_is_plus]] [[.enabled_plugins]] [[.template_delete_run_path_on_exit]]\n\
         [[.log_formatter_options]] [[.conf_path]] [[.template_conf_output_path]]\n\
         [[.template_run_path_subdirs]] [[.coprocess.a.name]] [[.nginx_version]] [[.own_count]] [[.env.background]]",
    );
    place.write(
        "coproc.toml",
        &format!(
            "vcpu_count = 2\nenabled_plugins = [\"template\", \"coprocess\"]\n{}\
             [template]\n[coprocess.a]\nname = \"first\"\nexec = \"true\"\nrestarts = \"never\"\n\
             exec_event = \"pre-start\"\n[own]\ncount = \"07\"\n",
            place.preamble().replace("DEBUG", "INFO")
        ),
    );
    let mut wrapper = place.run_with(&[], &[("OWN", "mine"), ("background", "1")]);
    wrapper.wait_for(": up\"");
    let conf = place.at("run/conf");
    assert_eq!(
        place.read("run/conf/nginx.conf"),
        format!(
            "<no value> <no value>  INFO 00002\nmine false [template coprocess] false\n\
             map[full_timestamp:true pad_level_text:true] {conf} {conf}\n\
             [client_body conf proxy fastcgi uswsgi scgi] first 1.22.1 07 1"
        )
    );
    assert_eq!(wrapper.stop(), 0);
}

#[test]
fn w91_the_time_of_the_latest_rendering() {
    let place = Place::new();
    let port = free_port();
    let template = nginx_template(&place, port, "at [[.last_reload_time]] end");
    place.write("nginx.conf.tmpl", &template);
    nginx_config(&place, "", "");
    let mut wrapper = place.run();
    wait_for_event(&wrapper, "start-worker", 1);
    let first = http::get(port, "/");
    assert!(first.contains("+0000 UTC end"), "{first}");
    assert_eq!(reload(&place).0, Some(0));
    eventually("another time", || {
        http::get(port, "/").contains("UTC end") && http::get(port, "/") != first
    });
    assert_eq!(wrapper.stop(), 0);
}

#[test]
fn w92_rendered_files_go_and_the_run_path_stays() {
    let place = Place::new();
    place.write("nginx.conf.tmpl", "x");
    place.write("run/conf/theirs", "theirs");
    place.config("[template]\n");
    let mut wrapper = started(&place);
    assert!(place.path().join("run/conf/nginx.conf").exists());
    assert_eq!(wrapper.stop(), 0);
    assert!(!place.path().join("run/conf/nginx.conf").exists());
    assert_eq!(place.read("run/conf/theirs"), "theirs");
    place.config("[template]\ndelete_templated_conf_on_exit = false\n");
    let mut wrapper = started(&place);
    assert_eq!(wrapper.stop(), 0);
    assert_eq!(place.read("run/conf/nginx.conf"), "x");
}

#[test]
fn w93_the_run_path_goes() {
    let place = Place::new();
    place.write("nginx.conf.tmpl", "x");
    place.config("[template]\ndelete_run_path_on_exit = true\n");
    let mut wrapper = started(&place);
    assert_eq!(wrapper.stop(), 0);
    assert!(!place.path().join("run").exists());
    assert!(place.path().join("nginx.conf.tmpl").exists());
    assert_eq!(wrapper.stderr(), "");
}

#[test]
fn w94_nginx_reads_what_was_rendered_elsewhere() {
    let place = Place::new();
    let port = free_port();
    let template = nginx_template(&place, port, "elsewhere");
    place.write("nginx.conf.tmpl", &template);
    fs::create_dir(place.path().join("out")).unwrap();
    nginx_config(&place, "", "conf_output_path = \"out\"");
    let mut wrapper = place.run();
    wait_for_event(&wrapper, "start-worker", 1);
    assert!(http::get(port, "/").ends_with("elsewhere"));
    assert!(!place.path().join("run/conf/nginx.conf").exists());
    assert_eq!(wrapper.stop(), 0);
    assert!(!place.path().join("out/nginx.conf").exists() && place.path().join("out").is_dir());
}

#[test]
fn w95_a_relative_run_path() {
    let place = Place::new();
    let port = free_port();
    let template =
        nginx_template(&place, port, "relative").replace(&place.at("run"), "[[.run_path]]");
    place.write("nginx.conf.tmpl", &template);
    place.write("coproc.toml", "run_path = \"relrun\"\n[log]\nlevel = \"DEBUG\"\n[template]\n");
    let mut wrapper = place.run();
    wait_for_event(&wrapper, "start-worker", 1);
    assert!(http::get(port, "/").ends_with("relative"));
    assert_eq!(wrapper.stop(), 0);
}

#[test]
fn w96_a_config_map() {
    let place = Place::new();
    let port = free_port();
    let template = nginx_template(&place, port, "mounted");
    fs::create_dir_all(place.path().join("mount/..2026_01")).unwrap();
    place.write("mount/..2026_01/nginx.conf.tmpl", &template);
    symlink("..2026_01", place.path().join("mount/..data")).unwrap();
    symlink("..data/nginx.conf.tmpl", place.path().join("mount/nginx.conf.tmpl")).unwrap();
    symlink("mount", place.path().join("linked")).unwrap();
    nginx_config(&place, "", "conf_template_path = \"linked\"");
    let mut wrapper = place.run();
    wait_for_event(&wrapper, "start-worker", 1);
    assert!(http::get(port, "/").ends_with("mounted"));
    let all = fs::read_dir(place.path().join("run/conf")).unwrap().count();
    assert_eq!(all, 1, "nothing but nginx.conf");
    assert_eq!(wrapper.stop(), 0);
}

#[test]
fn w97_the_body_of_a_file_with_definitions() {
    let place = Place::new();
    place.write("nginx.conf.tmpl", "[[define \"a\"]]A[[end]][[define \"b\"]]B[[end]]body");
    place.config("[template]\n");
    let mut wrapper = started(&place);
    for _ in 0..20 {
        assert_eq!(place.read("run/conf/nginx.conf"), "body");
        assert_eq!(reload(&place).0, Some(0));
    }
    assert_eq!(wrapper.stop(), 0);
}

#[test]
fn w98_a_wrong_template_keeps_main_from_starting() {
    let place = Place::new();
    place.config("[template]\n");
    place.write("nginx.conf.tmpl", "a\nb [[ .x");
    gives_up(&place, &format!("{}:2:", place.at("nginx.conf.tmpl")));
    place.write("nginx.conf.tmpl", "a\n\n[[.log_level.x]]\n");
    gives_up(&place, &format!("{}:3:3: ", place.at("nginx.conf.tmpl")));
    place.write("nginx.conf.tmpl", "a\n[[if .x]]");
    gives_up(&place, &format!("{}:2:3: ", place.at("nginx.conf.tmpl")));
    assert_eq!(place.read("run/conf/nginx.conf"), "");
}

#[test]
fn w99_nothing_that_can_be_rendered() {
    let place = Place::new();
    place.config("[template]\n");
    gives_up(&place, "nginx.conf.tmpl` does not exist");
    place.config("[template]\nconf_template_path = \".tmpl\"\n");
    place.write(".tmpl", "x");
    gives_up(&place, ".tmpl` has no name but the suffix");
    place.config("[template]\nconf_template_path = \"in\"\n");
    fs::create_dir(place.path().join("in")).unwrap();
    place.write("in/.tmpl", "x");
    gives_up(&place, "in/.tmpl` has no name but the suffix");
    place.config("[template]\nconf_template_path = \"pipe\"\n");
    nix::unistd::mkfifo(&place.path().join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    gives_up(&place, "pipe` is a named pipe");
    place.write("nginx.conf.tmpl", "x");
    place.config("[template]\nconf_output_path = \"nowhere\"\n");
    gives_up(&place, "nowhere` does not exist");
    place.write("file", "");
    let text = place.preamble().replace(&place.at("run"), &place.at("file/run"));
    place.write("coproc.toml", &format!("{text}[template]\n"));
    gives_up(&place, "file/run` cannot be made");
}

#[test]
fn w100_one_template_less_and_one_more() {
    let place = Place::new();
    fs::create_dir(place.path().join("in")).unwrap();
    for name in ["nginx.conf.tmpl", "old.conf.tmpl"] {
        place.write(&format!("in/{name}"), "x");
    }
    place.config("[template]\nconf_template_path = \"in\"\n");
    let mut wrapper = started(&place);
    assert!(place.path().join("run/conf/old.conf").exists());
    fs::remove_file(place.path().join("in/old.conf.tmpl")).unwrap();
    place.write("in/new.conf.tmpl", "y");
    wrapper.signal(Signal::SIGHUP);
    wait_for_event(&wrapper, "reload", 1);
    eventually("the old one is gone", || !place.path().join("run/conf/old.conf").exists());
    assert_eq!(place.read("run/conf/new.conf"), "y");
    assert_eq!(wrapper.stop(), 0);
}

/// D62: the folders are there before the first coprocess, and what it makes is rendered.
#[test]
fn d62_folders_first_coprocesses_next_rendering_last() {
    let place = Place::new();
    fs::remove_dir_all(place.path().join("run")).unwrap();
    fs::create_dir(place.path().join("in")).unwrap();
    place.config(&format!(
        "[template]\nconf_template_path = \"in\"\n[coprocess.make]\nname = \"make\"\n\
         exec = [\"sh\", \"-c\", \"test -d {run}/conf && echo '[[.vcpu_count]]' >> {at}/in/nginx.conf.tmpl\"]\n\
         restarts = \"never\"\nexec_event = \"pre-start\"\n\
         [coprocess.again]\nname = \"again\"\nexec = [\"sh\", \"-c\", \"echo more >> {at}/in/nginx.conf.tmpl\"]\n\
         restarts = \"never\"\nexec_event = \"pre-reload\"\n",
        run = place.at("run"),
        at = place.path().display()
    ));
    let mut wrapper = started(&place);
    let before = place.read("run/conf/nginx.conf");
    assert!(before.trim().parse::<u32>().is_ok(), "{before}");
    assert_eq!(reload(&place).0, Some(0));
    assert_eq!(place.read("run/conf/nginx.conf"), format!("{before}more\n"));
    assert_eq!(wrapper.stop(), 0);
}

/// Without the table, or where `enabled_plugins` leaves it out, nothing is rendered.
#[test]
fn templates_are_off_unless_asked_for() {
    let place = Place::new();
    place.write("nginx.conf.tmpl", "x");
    place.config("");
    let mut wrapper = started(&place);
    assert_eq!(wrapper.stop(), 0);
    let preamble = place.preamble();
    place.write(
        "coproc.toml",
        &format!("enabled_plugins = [\"coprocess\"]\n{preamble}[template]\n"),
    );
    let mut wrapper = started(&place);
    assert!(!place.path().join("run/conf/nginx.conf").exists());
    assert_eq!(wrapper.stop(), 0);
    place.write("coproc.toml", &format!("enabled_plugins = [\"template\"]\n{preamble}"));
    let mut wrapper = started(&place);
    assert_eq!(place.read("run/conf/nginx.conf"), "x");
    assert_eq!(wrapper.stop(), 0);
}

/// A TERM while `pre-start` is held renders nothing any more.
#[test]
fn a_cancelled_start_renders_nothing() {
    let place = Place::new();
    place.write("nginx.conf.tmpl", "[[");
    place.config(&format!(
        "[template]\n[coprocess.hold]\nname = \"hold\"\nexec = [\"{}\", \"until\", \"{}\"]\n\
         restarts = \"never\"\nexec_event = \"pre-start\"\n",
        puppet(),
        place.at("never")
    ));
    let mut wrapper = place.run();
    wrapper.wait_for("hold: waiting");
    assert_eq!(wrapper.stop(), 143);
    assert_eq!(wrapper.stderr(), "", "{}", wrapper.dump());
}

/// What was rendered goes back if the main process ends before anybody was told of it.
#[test]
fn outputs_that_were_not_checked_do_not_stay() {
    let place = Place::new();
    place.write("nginx.conf.tmpl", "old");
    let check = format!("[\"{}\", \"until\", \"{}\"]", support::puppet(), place.at("go"));
    place.config(&format!(
        "[template]\ndelete_templated_conf_on_exit = false\n[main]\ncheck = {check}\n"
    ));
    let mut wrapper = started(&place);
    place.write("nginx.conf.tmpl", "new");
    wrapper.signal(Signal::SIGHUP);
    wrapper.wait_for("check-nginx: waiting");
    assert_eq!(place.read("run/conf/nginx.conf"), "new", "the check reads it where it will be");
    assert_eq!(wrapper.stop(), 0);
    assert_eq!(place.read("run/conf/nginx.conf"), "old");
    assert_eq!(fs::read_dir(place.path().join("run/conf")).unwrap().count(), 1);
}

/// What is in the way of a clean-up is told, and nothing of it is touched.
#[test]
fn w93_a_run_path_with_the_template_in_it_stays() {
    let place = Place::new();
    place.write("run/nginx.conf.tmpl", "x");
    place.config(
        "[template]\nconf_template_path = \"run/nginx.conf.tmpl\"\ndelete_run_path_on_exit = true\n",
    );
    let mut wrapper = started(&place);
    assert_eq!(wrapper.stop(), 0);
    let line = wrapper.wait_for("level=error");
    assert!(line.contains("the template is in it"), "{line}");
    assert_eq!(place.read("run/nginx.conf.tmpl"), "x");
}

/// D60: with the working directory as the source the outputs and the run path are no input.
#[test]
fn d60_the_working_directory_as_the_source() {
    let place = Place::new();
    place.write(".hidden.tmpl", "[[.vcpu_count]]");
    place.write("nginx.conf.tmpl", "x");
    place.config("[template]\nconf_template_path = \".\"\n");
    let mut wrapper = started(&place);
    for _ in 0..2 {
        assert_eq!(reload(&place).0, Some(0));
    }
    let mut names = fs::read_dir(place.path().join("run/conf"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with(".coproc-"))
        .collect::<Vec<_>>();
    names.sort();
    assert_eq!(names, [".hidden", "coproc.toml", "nginx.conf"]);
    assert_eq!(wrapper.stop(), 0);
}

/// nginx as another user reads what was rendered and writes to the folders of the run path.
#[test]
fn a_main_process_of_another_user_reads_and_writes() {
    if !support::is_root() {
        support::skipped("only root can switch users");
        return;
    }
    let place = Place::new();
    let port = free_port();
    let template = nginx_template(&place, port, "theirs")
        .replace("user www-data;", "")
        .replace("/nginx.pid", "/proxy/nginx.pid")
        .replace("return 200 \"theirs\";", "root [[.run_path]]/conf; location / { }");
    fs::create_dir_all(place.path().join("in/static")).unwrap();
    place.write("in/nginx.conf.tmpl", &template);
    place.write("in/static/page", "a page");
    place.write("in/static/secret.tmpl", "rendered");
    for (name, mode) in [("in/static", 0o700), ("in/static/page", 0o600)] {
        fs::set_permissions(place.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    nginx_config(
        &place,
        "",
        "conf_template_path = \"in\"\n\
         run_path_subdirs = \"client_body conf proxy fastcgi uwsgi scgi\"\n\
         [main]\nuser = \"www-data\"",
    );
    let mut wrapper = place.run();
    wait_for_event(&wrapper, "start-worker", 1);
    assert!(http::get(port, "/static/page").ends_with("a page"));
    assert!(http::get(port, "/static/secret").ends_with("rendered"));
    let owner = |name: &str| fs::metadata(place.path().join(name)).unwrap().uid();
    let user = nix::unistd::User::from_name("www-data").unwrap().unwrap().uid.as_raw();
    let theirs = ["run/proxy", "run/conf/nginx.conf", "run/conf/static/page"];
    assert_eq!(theirs.map(owner), [user; 3]);
    let root = ["run", "run/conf", "run/conf/static", "run/control.sock"];
    assert_eq!(root.map(owner), [0; 4]);
    assert_eq!(reload(&place), (Some(0), String::new()), "over the control socket");
    assert_eq!(wrapper.stop(), 0);
}

/// D59: workers reach what is served, whatever user they run as.
#[test]
fn d59_workers_read_copied_files() {
    let place = Place::new();
    let port = free_port();
    let template = nginx_template(&place, port, "x")
        .replace("return 200 \"x\";", "root [[.run_path]]/conf; location / { }");
    fs::create_dir_all(place.path().join("in/static")).unwrap();
    place.write("in/nginx.conf.tmpl", &template);
    place.write("in/static/page", "a page");
    for (name, mode) in [("in/static", 0o755), ("in/static/page", 0o644)] {
        fs::set_permissions(place.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    nginx_config(&place, "", "conf_template_path = \"in\"");
    let mut wrapper = place.run();
    wait_for_event(&wrapper, "start-worker", 1);
    assert!(http::get(port, "/static/page").ends_with("a page"));
    assert_eq!(wrapper.stop(), 0);
}

#[test]
fn a_source_turns_from_a_file_into_a_folder_and_back() {
    let place = Place::new();
    fs::create_dir(place.path().join("in")).unwrap();
    place.write("in/nginx.conf.tmpl", "x");
    place.write("in/site", "file");
    place.config("[template]\nconf_template_path = \"in\"\n");
    let mut wrapper = started(&place);
    fs::remove_file(place.path().join("in/site")).unwrap();
    fs::create_dir(place.path().join("in/site")).unwrap();
    place.write("in/site/a", "in a folder");
    assert_eq!(reload(&place), (Some(0), String::new()));
    assert_eq!(place.read("run/conf/site/a"), "in a folder");
    fs::remove_dir_all(place.path().join("in/site")).unwrap();
    place.write("in/site", "file again");
    assert_eq!(reload(&place), (Some(0), String::new()));
    assert_eq!(place.read("run/conf/site"), "file again");
    assert_eq!(wrapper.stop(), 0);
    assert_eq!(fs::read_dir(place.path().join("run/conf")).unwrap().count(), 0);
}

#[test]
fn files_of_others_are_kept_and_put_back() {
    let place = Place::new();
    place.write("nginx.conf.tmpl", "ours");
    place.write("run/conf/nginx.conf", "theirs");
    place.config("[template]\n");
    let mut wrapper = started(&place);
    let line = wrapper.wait_for("coproc did not write it");
    assert!(line.contains("run/conf/nginx.conf`") && line.contains("put back"), "{line}");
    assert_eq!(reload(&place).0, Some(0));
    assert_eq!(wrapper.count("coproc did not write it"), 1);
    assert_eq!(place.read("run/conf/nginx.conf"), "ours");
    assert_eq!(wrapper.stop(), 0);
    assert_eq!(place.read("run/conf/nginx.conf"), "theirs");
    assert_eq!(fs::read_dir(place.path().join("run/conf")).unwrap().count(), 1);
}

/// What a wrapper left is known again by the next one.
#[test]
fn outputs_that_were_left_are_no_files_of_others() {
    let place = Place::new();
    place.write("nginx.conf.tmpl", "first");
    place.write("run/conf/nginx.conf", "theirs");
    place.config("[template]\ndelete_templated_conf_on_exit = false\n");
    let mut wrapper = started(&place);
    assert_eq!(wrapper.stop(), 0);
    place.write("nginx.conf.tmpl", "second");
    place.config("[template]\n");
    let mut wrapper = started(&place);
    assert_eq!(place.read("run/conf/nginx.conf"), "second");
    assert_eq!(wrapper.count("coproc did not write it"), 0);
    assert_eq!(wrapper.stop(), 0);
    assert_eq!(place.read("run/conf/nginx.conf"), "theirs");
}
