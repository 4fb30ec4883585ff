//! The exec socket under Lua: in nginx and in plain Lua, with the client of `tests/lua`, which reads as
//! lua-resty-exec does.

mod support;

use std::fs;
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::{Place, Wrapper, http, is_root};

/// nginx as the main process, an exec socket beside it.
struct Site {
    place: Place,
    port: u16,
    wrapper: Wrapper,
}

/// The PATH of the programs.
const PROGRAMS: &str = "/usr/bin:/bin:/opt/none";

impl Site {
    fn new() -> Self {
        let place = Place::new();
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lua");
        fs::create_dir_all(place.path().join("lua/resty/exec")).unwrap();
        // nginx's workers may not be allowed to read the original.
        for name in ["cases.lua", "netstring.lua", "resty/exec.lua", "resty/exec/socket.lua"] {
            fs::copy(format!("{folder}/{name}"), place.at(&format!("lua/{name}"))).unwrap();
        }
        fs::copy(format!("{folder}/slow-print"), place.at("slow-print")).unwrap();
        let locations = fs::read_to_string(format!("{folder}/locations.conf"))
            .unwrap()
            .replace("SOCKET", &place.at("exec.sock"))
            .replace("SLOW_PRINT", &place.at("slow-print"));
        let owner = if is_root() { "owner = \"www-data\"" } else { "" };
        let socket = place.at("exec.sock");
        let port = place.nginx(
            1,
            &locations,
            &format!(
                "[exec_socket]\npath = \"{socket}\"\n{owner}\nenv = {{ PATH = \"{PROGRAMS}\" }}\n"
            ),
        );
        let packages = place.at("lua/?.lua");
        let conf = place.read("run/conf/nginx.conf").replace(
            "http {",
            &format!("http {{\nlua_package_path \"{packages};;\";\nclient_max_body_size 0;"),
        );
        let modules = ["ndk_http_module", "ngx_http_lua_module"]
            .map(|name| format!("load_module /usr/lib/nginx/modules/{name}.so;\n"));
        place.write("run/conf/nginx.conf", &format!("{}{conf}", modules.concat()));
        let wrapper = place.run();
        wrapper.wait_for("event: [start] ");
        Self { place, port, wrapper }
    }

    /// The body of an answer.
    #[track_caller]
    fn get(&self, target: &str) -> String {
        let answer = http::get(self.port, target);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 "), "{answer}\n{}", self.wrapper.dump());
        match head.contains("chunked") {
            true => unchunked(body),
            false => body.to_owned(),
        }
    }

    /// The same, asked again where the server had no processor in the client's millisecond.
    #[track_caller]
    fn get_in_time(&self, target: &str) -> String {
        let mut answers = (0..10).map(|_| self.get(target));
        answers.find(|answer| answer != "timeout\n").expect("an answer in time")
    }

    #[track_caller]
    fn in_nginx(&self, case: &str) {
        assert_eq!(self.get(&format!("/case?name={case}")), "good\n", "{}", self.wrapper.dump());
    }

    #[track_caller]
    #[allow(clippy::disallowed_methods)]
    fn in_plain_lua(&self, case: &str) {
        let script = format!(
            "package.path = '{};' .. package.path\nrequire('cases').{case}('{}', '{}')",
            self.place.at("lua/?.lua"),
            self.place.at("exec.sock"),
            self.place.at("slow-print"),
        );
        let output =
            Command::new("lua5.1").args(["-e", &script]).stdin(Stdio::null()).output().unwrap();
        let why = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{why}\n{}", self.wrapper.dump());
    }

    #[track_caller]
    fn in_both(&self, case: &str) {
        self.in_nginx(case);
        self.in_plain_lua(case);
    }
}

/// The payload of a chunked body.
fn unchunked(body: &str) -> String {
    let mut rest = body;
    let mut whole = String::new();
    while let Some((length, after)) = rest.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap();
        whole.push_str(&after[..length]);
        rest = after[length..].trim_start_matches("\r\n");
        if length == 0 {
            break;
        }
    }
    whole
}

#[test]
fn the_locations_of_the_manual() {
    let site = Site::new();
    for _ in 0..20 {
        assert_eq!(site.get_in_time("/uname-1"), "Linux\n\n");
        assert!(site.get_in_time("/uname-2").starts_with("Linux "));
        assert_eq!(site.get_in_time("/cat-1"), "this is neat!\n");
        assert_eq!(site.get_in_time("/cat-2"), "awesome\n");
        assert_eq!(site.get_in_time("/shell"), format!("{PROGRAMS}\n\n"));
    }
}

// The client sends arguments and end mark by themselves, and takes a reply for a timeout whose end is a
// millisecond later than its status: the server may neither close before the end mark has come nor
// wait for it.
#[test]
fn e69_a_thousand_short_calls_succeed_and_none_of_their_sends_fails() {
    let mut site = Site::new();
    let mut late = 0;
    for _ in 0..1000 {
        match site.get("/fields").as_str() {
            "Linux\n|0|nil" => {}
            "nil|nil|timeout" => late += 1,
            other => panic!("{other}\n{}", site.wrapper.dump()),
        }
    }
    // A server that waits for anything is late every time; one that had no processor at the wrong
    // moment is so now and then.
    assert!(late <= 50, "{late} of 1000\n{}", site.wrapper.dump());
    site.in_both("e69");
    assert_eq!(site.wrapper.stop(), 0);
    assert_eq!(site.wrapper.count("send() failed"), 0, "{}", site.wrapper.dump());
}

#[test]
fn e70_300_kb_of_output() {
    Site::new().in_both("e70");
}

#[test]
fn e71_a_program_that_does_not_exist() {
    Site::new().in_both("e71");
}

#[test]
fn e72_a_signal_is_a_number() {
    Site::new().in_both("e72");
}

#[test]
fn e73_megabytes_of_stdin() {
    Site::new().in_both("e73");
}

#[test]
fn e74_a_timeout_that_is_no_error_and_one_that_is() {
    let site = Site::new();
    site.in_both("e74");
    site.in_both("timeout");
}

#[test]
fn e75_output_arrives_while_the_program_runs() {
    let site = Site::new();
    let mut answer = http::ask(site.port, "/slow-print", "");
    let (mut seen, mut text) = (Vec::new(), String::new());
    let mut piece = [0; 4096];
    std::thread::scope(|scope| {
        scope.spawn(|| site.in_nginx("e75"));
        scope.spawn(|| site.in_plain_lua("e75"));
        loop {
            let read = answer.read(&mut piece).unwrap();
            if read == 0 {
                break;
            }
            text.push_str(std::str::from_utf8(&piece[..read]).unwrap());
            seen.resize(text.matches("line ").count(), Instant::now());
        }
    });
    assert_eq!(seen.len(), 11, "{text}");
    // The program pauses for two seconds each time; a collected answer has no gaps.
    for pair in seen.windows(2) {
        assert!(pair[1] - pair[0] > Duration::from_secs(1), "{seen:?}");
    }
}

#[test]
fn callbacks_take_the_output() {
    Site::new().in_both("callbacks");
}

#[test]
fn a_program_is_talked_to_while_it_runs() {
    Site::new().in_both("two_ways");
}

#[test]
fn calls_that_cannot_be_made() {
    Site::new().in_both("misuse");
}
