//! A program that does on request what programs under supervision do, good and bad.
//!
//! Without a word that it knows it stands in for nginx: `-V` prints a version, anything else runs
//! until TERM, INT or QUIT, says `exit` as nginx does, and leaves with `F_RC`. `F_EV=1` makes it
//! announce a worker at the start and after each HUP, unless `F_REFUSE=1`; `F_PRINT` and `F_PRINT_ERR`
//! name files whose bytes it writes to stdout and stderr next. At last it says `up`.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::exit)]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::process::exit;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["-V", ..] => {
            println!("nginx version: nginx/1.22.1");
            println!("configure arguments: --modules-path=/x/mods");
        }
        // Runs for ever and ignores these signals; says `ready` once it does.
        ["ignore", signals @ ..] => ignore(signals),
        // Writes so many bytes of one line, then a line `after`, then runs for ever.
        ["long-line", bytes] => {
            let mut out = std::io::stdout().lock();
            out.write_all(&vec![b'x'; number(bytes)]).unwrap();
            out.write_all(b"\nafter\n").unwrap();
            out.flush().unwrap();
            drop(out);
            forever();
        }
        // Writes so many numbered lines to stderr, then makes the file.
        ["stderr-then-touch", lines, file] => {
            for line in 0..number(lines) {
                eprintln!("line {line} of the error stream, padded out");
            }
            std::fs::write(file, "done").unwrap();
            forever();
        }
        // Says `waiting` and runs until the file is there.
        ["until", file] => {
            println!("waiting");
            while !std::path::Path::new(file).exists() {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        // Leaves at once with this code.
        ["exit", code] => exit(number(code) as i32),
        // Leaves with this code the first N times, as a file counts, and then runs for ever.
        ["fail-times", times, code, file] => {
            let before = std::fs::read_to_string(file).unwrap_or_default();
            std::fs::write(file, format!("{before}x")).unwrap();
            if before.len() < number(times) {
                exit(number(code) as i32);
            }
            println!("settled");
            forever();
        }
        // Prints its own descriptors, one a line.
        ["descriptors"] => {
            let mut all: Vec<_> = std::fs::read_dir("/proc/self/fd")
                .unwrap()
                .filter_map(|entry| {
                    let entry = entry.ok()?;
                    let target = std::fs::read_link(entry.path()).ok()?;
                    // The one that reads this folder.
                    let own = target.starts_with("/proc");
                    (!own).then(|| format!("{} {}", entry.file_name().display(), target.display()))
                })
                .collect();
            all.sort();
            println!("descriptors: {}", all.join(", "));
        }
        // Once the first file is there: serves TCP, HTTP on a port or a socket, or a plain socket.
        // HTTP is answered with the status that the second file holds, else 200.
        ["serve", "tcp", address, go] => {
            wait_for(go);
            let listener = TcpListener::bind(address).unwrap();
            serve(listener.incoming().map(Result::unwrap), |_| {});
        }
        ["serve", "unix", path, go] => {
            wait_for(go);
            let listener = UnixListener::bind(path).unwrap();
            serve(listener.incoming().map(Result::unwrap), |_| {});
        }
        ["serve", "http", address, go, status] => {
            wait_for(go);
            match address.strip_prefix("unix:") {
                Some(path) => {
                    let listener = UnixListener::bind(path).unwrap();
                    serve(listener.incoming().map(Result::unwrap), |stream| http(stream, status));
                }
                None => {
                    let listener = TcpListener::bind(address).unwrap();
                    serve(listener.incoming().map(Result::unwrap), |stream| http(stream, status));
                }
            }
        }
        // Serves HTTP at once; says `asked` for each request and answers it once the file is there.
        ["hold", address, go] => {
            let listener = TcpListener::bind(address).unwrap();
            serve(listener.incoming().map(Result::unwrap), |mut stream| {
                let _ = stream.read(&mut [0; 4096]);
                println!("asked");
                wait_for(go);
                let _ = write!(stream, "HTTP/1.1 200 X\r\nContent-Length: 4\r\n\r\nheld");
            });
        }
        // Once the file is there: prints the line, or writes a newline to the descriptor.
        ["say", line, go] => {
            wait_for(go);
            println!("{line}");
            forever();
        }
        ["newline", descriptor, go] => {
            wait_for(go);
            let mut pipe = std::fs::OpenOptions::new()
                .write(true)
                .open(format!("/proc/self/fd/{descriptor}"))
                .unwrap();
            pipe.write_all(b"\n").unwrap();
            forever();
        }
        // Once the file is there: sends the message to NOTIFY_SOCKET; then `WATCHDOG=1` again and
        // again as long as the second file is there.
        ["notify", message, go, alive @ ..] => {
            wait_for(go);
            notify(message);
            if let [alive] = alive {
                while std::path::Path::new(alive).exists() {
                    notify("WATCHDOG=1");
                    std::thread::sleep(Duration::from_millis(20));
                }
            }
            forever();
        }
        // Sends a message to the NOTIFY_SOCKET of another.
        ["notify-other", socket, message] => notify_to(socket, message),
        // nginx finds nothing wrong with its configuration.
        [.., "-t"] => println!("nginx: configuration file test is successful"),
        _ => stand_in(),
    }
}

fn wait_for(file: &str) {
    while !std::path::Path::new(file).exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn serve<S>(streams: impl Iterator<Item = S>, answer: impl Fn(S)) {
    println!("listening");
    streams.for_each(answer);
}

fn http(mut stream: impl Read + Write, status: &str) {
    let _ = stream.read(&mut [0; 4096]);
    let status = std::fs::read_to_string(status).unwrap_or_else(|_| "200".to_owned());
    let _ = write!(stream, "HTTP/1.1 {} X\r\nContent-Length: 0\r\n\r\n", status.trim());
}

fn notify(message: &str) {
    notify_to(&std::env::var("NOTIFY_SOCKET").expect("NOTIFY_SOCKET"), message);
}

fn notify_to(socket: &str, message: &str) {
    let name = socket.strip_prefix('@').expect("an abstract name");
    let address = SocketAddr::from_abstract_name(name).unwrap();
    let datagram = UnixDatagram::unbound().unwrap();
    datagram.send_to_addr(message.replace("\\n", "\n").as_bytes(), &address).unwrap();
}

fn number(text: &str) -> usize {
    text.parse().expect("a number")
}

fn forever() -> ! {
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

fn ignore(names: &[&str]) -> ! {
    let numbers: Vec<i32> =
        names.iter().map(|name| if *name == "INT" { SIGINT } else { SIGTERM }).collect();
    let mut signals = Signals::new(numbers).unwrap();
    println!("ready");
    for _ in signals.forever() {}
    forever();
}

fn stand_in() -> ! {
    let flag = |name: &str| std::env::var(name).is_ok_and(|value| value == "1");
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1]).unwrap();
    let mut worker = 5000;
    if flag("F_EV") {
        announce(worker);
    }
    for (name, stderr) in [("F_PRINT", false), ("F_PRINT_ERR", true)] {
        let Ok(file) = std::env::var(name) else { continue };
        let bytes = std::fs::read(file).unwrap();
        if stderr {
            std::io::stderr().write_all(&bytes).unwrap();
        } else {
            let mut out = std::io::stdout().lock();
            out.write_all(&bytes).unwrap();
            out.flush().unwrap();
        }
    }
    // Told last, so that a test that waits for it can send signals.
    say("up");
    for signal in signals.forever() {
        if signal == SIGHUP {
            worker += 1;
            say("reconfiguring");
            if flag("F_EV") && !flag("F_REFUSE") {
                announce(worker);
            }
            continue;
        }
        if signal == SIGUSR1 {
            say("reopening logs");
            continue;
        }
        break;
    }
    say("exit");
    exit(std::env::var("F_RC").ok().and_then(|code| code.parse().ok()).unwrap_or(0));
}

/// A line as nginx's error log has it.
fn say(text: &str) {
    let pid = std::process::id();
    println!("2026/01/01 00:00:00 [notice] {pid}#{pid}: {text}");
}

fn announce(worker: u32) {
    say("start worker processes");
    say(&format!("start worker process {worker}"));
}
