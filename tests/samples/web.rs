//! Samples that serve pages, with the real nginx.

use std::fs;
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::sample::{Sample, folder};
use crate::support::{Place, eventually, free_port, http};

#[test]
fn the_template_sample_serves_its_page() {
    let mut sample = Sample::copy("template", &[8080], &[]);
    sample.env("SITE_NAME", "example.test");
    let mut wrapper = sample.run(&[]);
    wrapper.wait_for("[start-worker]");
    assert!(sample.place.read("run/conf/nginx.conf").contains("server_name example.test;"));
    let answer = http::get(sample.port(8080), "/");
    assert!(answer.contains("hello"), "{answer}\n{}", wrapper.dump());
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
    wrapper.signal(Signal::SIGHUP);
    wrapper.wait_for("reloaded: nginx was reloaded at");
    wrapper.signal(Signal::SIGINT);
    assert_eq!(wrapper.wait(), 0, "{}", wrapper.dump());
    assert!(
        wrapper.count("stop-ticker: the ticker is about to be stopped") == 1,
        "{}",
        wrapper.dump()
    );
}

/// PHP-FPM, whose program has the version in its name.
fn php_fpm() -> std::path::PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
    let files = folders.filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    let found = files.map(|file| file.path()).find(|file| {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.strip_prefix("php-fpm")
            .is_some_and(|version| version.bytes().all(|b| b == b'.' || b.is_ascii_digit()))
    });
    found.expect("PHP-FPM is not there; `make deps` installs it")
}

#[test]
fn php_answers_through_nginx() {
    let sample = Sample::copy("php-fpm", &[8080], &[]);
    std::os::unix::fs::symlink(php_fpm(), sample.place.at("bin/php-fpm8.2")).unwrap();
    let site = format!("site={}", sample.place.at(""));
    let mut wrapper = sample.run(&["--set", &site]);
    wrapper.wait_for("[start-worker]");
    assert!(
        wrapper.position("[coprocess.php-fpm.ready]") < wrapper.position("\"pm: started"),
        "{}",
        wrapper.dump()
    );
    let answers = |target: &str| http::get(sample.port(8080), target);
    assert!(answers("/").contains(" answers GET"), "{}\n{}", answers("/"), wrapper.dump());
    assert!(answers("/nothing.php").starts_with("HTTP/1.1 404 "));
    sample.healthy();

    // It takes its old socket's place.
    kill(Pid::from_raw(wrapper.started("php-fpm", 1)), Signal::SIGKILL).unwrap();
    wrapper.wait_for_nth("[coprocess.php-fpm.ready]", 2);
    assert!(answers("/index.php").contains(" answers GET"), "{}", wrapper.dump());
    assert_eq!(wrapper.stop(), 0, "{}", wrapper.dump());
}

/// The serial of the certificate that a server shows, as openssl prints it.
#[allow(clippy::disallowed_methods)]
fn serial(port: u16) -> String {
    let script = format!(
        "openssl s_client -connect 127.0.0.1:{port} -servername localhost </dev/null 2>/dev/null | \
         openssl x509 -noout -serial"
    );
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Connects again and again until it is over; gives how often that was refused.
fn connect_until(port: u16, over: Arc<AtomicBool>) -> JoinHandle<u32> {
    std::thread::spawn(move || {
        let mut refused = 0;
        while !over.load(Ordering::Relaxed) {
            refused += u32::from(TcpStream::connect(("127.0.0.1", port)).is_err());
            // Others want to connect as well.
            std::thread::sleep(Duration::from_millis(2));
        }
        refused
    })
}

#[test]
fn a_renewed_certificate_is_served_and_the_port_stays_open() {
    let sample = Sample::copy("certificate", &[8443], &[]);
    let port = sample.port(8443);
    let mut wrapper = sample.run(&[]);
    wrapper.wait_for("[start-worker]");
    assert!(wrapper.position("certificate: renewed: ") < wrapper.position("\"pm: started"));
    wrapper.wait_for("renewal: ended with exit status 0");
    let first = serial(port);
    assert_eq!(wrapper.count(&format!("certificate: renewed: {first}")), 1, "{}", wrapper.dump());
    let master = sample.place.read("run/nginx.pid");
    sample.healthy();

    let over = Arc::new(AtomicBool::new(false));
    let refused = connect_until(port, over.clone());
    fs::remove_file(sample.place.path().join("run/site.pem")).unwrap();
    let restart = sample.coproc(&["restart", "renewal"]);
    assert!(restart.status.success(), "{}", String::from_utf8_lossy(&restart.stderr));
    wrapper.wait_for_nth("renewal: ended with exit status 0", 2);
    // The old worker may take a few more connections, and end while it greets.
    let mut second = String::new();
    eventually("the new certificate is served", || {
        second = serial(port);
        !second.is_empty() && second != first
    });
    over.store(true, Ordering::Relaxed);
    assert_eq!(refused.join().unwrap(), 0);
    assert_eq!(wrapper.count(&format!("renewal: renewed: {second}")), 1, "{}", wrapper.dump());
    assert_eq!(sample.place.read("run/nginx.pid"), master);

    // One that is good for long is left alone.
    assert!(sample.coproc(&["restart", "renewal"]).status.success());
    wrapper.wait_for_nth("renewal: ended with exit status 0", 3);
    assert_eq!(wrapper.count("event: [reload]"), 1, "{}", wrapper.dump());

    // A reload that is refused is not forgotten.
    let good = sample.place.read("nginx.conf");
    sample.place.write("nginx.conf", &format!("{good}nonsense;\n"));
    fs::remove_file(sample.place.path().join("run/site.pem")).unwrap();
    sample.coproc(&["restart", "renewal"]);
    wrapper.wait_for("renewal: ended with exit status 1");
    sample.place.write("nginx.conf", &good);
    assert!(sample.coproc(&["restart", "renewal"]).status.success());
    wrapper.wait_for_nth("renewal: ended with exit status 0", 4);
    eventually("the third certificate is served", || {
        let third = serial(port);
        !third.is_empty()
            && wrapper.count(&format!("renewal: renewed: {third}")) == 1
            && third != second
    });
    assert_eq!(wrapper.stop(), 0, "{}", wrapper.dump());
}
