//! A client of HTTP that asks over a number of connections, as a process of its own: the bench's own program
//! with the word `load`.
#![allow(dead_code, unreachable_pub)]

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::epoll;

/// How long a client asks in a round.
pub const ROUND: Duration = Duration::from_secs(2);
/// How long it asks before anything is counted.
const WARMTH: Duration = Duration::from_millis(300);
/// The length of what upstreams answer with.
pub const BODY: usize = 128;

/// What came of a round; of several, each is a median.
#[derive(Clone, Copy)]
pub struct Speed {
    /// Requests in all; not a median.
    pub requests: u64,
    /// Requests for each second of processor time.
    pub per_cpu: f64,
    /// Requests per second.
    pub rate: f64,
    /// In milliseconds.
    pub p50: f64,
    /// The same.
    pub p99: f64,
}

impl Speed {
    pub fn median(all: Vec<Self>) -> Self {
        let of = |value: fn(&Self) -> f64| {
            let mut values: Vec<_> = all.iter().map(value).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        Self {
            requests: all.iter().map(|one| one.requests).sum(),
            per_cpu: of(|one| one.per_cpu),
            rate: of(|one| one.rate),
            p50: of(|one| one.p50),
            p99: of(|one| one.p99),
        }
    }
}

/// Has a client ask for a while. It prints when it begins to count, then what it has counted.
pub fn round(port: u16, clients: usize, seconds: impl Fn() -> f64) -> Speed {
    let mut client = Command::new(std::env::current_exe().unwrap())
        .args(["load", &port.to_string(), &clients.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = client.stdout.take().unwrap();
    let mut begun = [0];
    output.read_exact(&mut begun).unwrap();
    let before = seconds();
    let mut counted = String::new();
    output.read_to_string(&mut counted).unwrap();
    let used = seconds() - before;
    assert!(client.wait().unwrap().success());
    let figures: Vec<f64> = counted.split_whitespace().map(|word| word.parse().unwrap()).collect();
    let [requests, time, p50, p99] = figures[..] else { panic!("{counted}") };
    Speed { requests: requests as u64, per_cpu: requests / used, rate: requests / time, p50, p99 }
}

/// Asks over `clients` connections, one request at a time on each.
pub fn load(port: u16, clients: usize) {
    let request = b"GET /bench/item?number=7 HTTP/1.1\r\nHost: bench.example\r\n\
        User-Agent: bench/1.0\r\nAccept: */*\r\nAccept-Encoding: gzip, deflate\r\n\
        Authorization: Bearer 0123456789abcdef\r\n\r\n";
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    let mut streams: Vec<_> = (0..clients)
        .map(|number| {
            let mut stream = TcpStream::connect((std::net::Ipv4Addr::LOCALHOST, port)).unwrap();
            stream.set_nodelay(true).unwrap();
            stream.set_nonblocking(true).unwrap();
            let data = epoll::EventData::new_u64(number as u64);
            epoll::add(&epoll, &stream, data, epoll::EventFlags::IN).unwrap();
            stream.write_all(request).unwrap();
            (stream, Instant::now(), 0)
        })
        .collect();
    let (mut whole, mut times) = (None, Vec::new());
    let (begin, mut counting) = (Instant::now() + WARMTH, None::<Instant>);
    let mut events = Vec::with_capacity(clients);
    let mut buffer = [0; 16 << 10];
    loop {
        events.clear();
        epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), None).unwrap();
        for event in &events {
            let (stream, asked, length) = &mut streams[usize::try_from(event.data.u64()).unwrap()];
            match stream.read(&mut buffer) {
                Ok(0) => panic!("a connection was closed"),
                Ok(read) => {
                    let first = *length == 0;
                    *length += read;
                    if first {
                        assert!(buffer.starts_with(b"HTTP/1.1 200 "), "no 200");
                    }
                    if whole.is_none() && buffer[..read].windows(4).any(|four| four == b"\r\n\r\n")
                    {
                        // All responses are as long as the first, of which the body may be missing.
                        let head = buffer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
                        whole = Some(head + 4 + BODY);
                    }
                    if Some(*length) != whole {
                        continue;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(error) => panic!("{error}"),
            }
            let now = Instant::now();
            if counting.is_some() {
                times.push(now - *asked);
            }
            (*asked, *length) = (now, 0);
            stream.write_all(request).unwrap();
        }
        match counting {
            None if begin <= Instant::now() => {
                counting = Some(Instant::now());
                print!("!");
                std::io::stdout().flush().unwrap();
            }
            Some(since) if since.elapsed() >= ROUND => {
                let time = since.elapsed().as_secs_f64();
                times.sort();
                let at = |part: f64| {
                    times[((times.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e3
                };
                println!("{} {time} {} {}", times.len(), at(0.5), at(0.99));
                return;
            }
            _ => {}
        }
    }
}
