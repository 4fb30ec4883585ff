//! Addresses of streams that clients outside may ask for: each was given out by the coordinator, has
//! a secret in it, is good for one reader and for some time. Pure: time and secrets are arguments.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use coproc_acomm::{Url, query_escape};

use crate::random::Secret;

/// The streams that were given out and not read yet.
#[derive(Debug)]
pub(crate) struct Streams {
    open: HashMap<Secret, Open>,
    /// In the order of their ends, which is that of their beginnings: all last equally long.
    ends: VecDeque<(Instant, Secret)>,
    max: usize,
}

#[derive(Debug)]
struct Open {
    source: Url,
    until: Instant,
    /// The end as the address tells it, in seconds since 1970.
    told: u64,
}

impl Streams {
    /// Keeps at most `max` streams; beyond that the oldest is forgotten.
    pub(crate) fn new(max: usize) -> Self {
        Self { open: HashMap::new(), ends: VecDeque::new(), max }
    }

    /// Gives `source` out; the answer is the query of its address. `told` is its end, `until`, in
    /// seconds since 1970.
    pub(crate) fn publish(
        &mut self,
        source: Url,
        secret: Secret,
        now: Instant,
        until: Instant,
        told: u64,
    ) -> String {
        self.forget(now);
        let query = format!(
            "addr={}&exp={told}&sig={}",
            query_escape(&source.to_string()),
            hexadecimal(&secret)
        );
        self.open.insert(secret, Open { source, until, told });
        self.ends.push_back((until, secret));
        query
    }

    /// The source of an address, which is good no more then; `None` for one that we did not give
    /// out, or that is over or was read.
    pub(crate) fn take(&mut self, addr: &str, exp: &str, sig: &str, now: Instant) -> Option<Url> {
        let secret = self.find(addr, exp, sig, now)?;
        self.open.remove(&secret).map(|open| open.source)
    }

    /// Whether [`Self::take`] would give a source.
    pub(crate) fn has(&mut self, addr: &str, exp: &str, sig: &str, now: Instant) -> bool {
        self.find(addr, exp, sig, now).is_some()
    }

    fn find(&mut self, addr: &str, exp: &str, sig: &str, now: Instant) -> Option<Secret> {
        self.forget(now);
        let secret = secret(sig)?;
        let open = self.open.get(&secret)?;
        let good =
            open.until > now && open.told.to_string() == exp && open.source.to_string() == addr;
        good.then_some(secret)
    }

    /// How many are open.
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    fn forget(&mut self, now: Instant) {
        while let Some((until, secret)) = self.ends.front() {
            let read = !self.open.contains_key(secret);
            if !read && *until > now && self.open.len() < self.max {
                break;
            }
            self.open.remove(secret);
            self.ends.pop_front();
        }
    }
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a text does not fail.
        let _ = write!(out, "{byte:02x}");
    }
    out
}

fn secret(text: &str) -> Option<Secret> {
    if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u128::from_str_radix(text, 16).ok().map(u128::to_be_bytes)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const SOURCE: &str = "unix:///d/streams/foo/f/1.sock";

    fn parts(query: &str) -> (String, String, String) {
        let mut parts = query.split('&').map(|part| part.split_once('=').unwrap().1.to_owned());
        let addr = coproc_acomm::query_unescape(&parts.next().unwrap()).unwrap();
        (addr, parts.next().unwrap(), parts.next().unwrap())
    }

    #[test]
    fn k01_only_what_was_given_out_is_served_once_and_in_time() {
        let now = Instant::now();
        let until = now + Duration::from_secs(600);
        let mut streams = Streams::new(10);
        let query = streams.publish(Url::parse(SOURCE).unwrap(), [7; 16], now, until, 99);
        assert!(query.starts_with("addr=unix%3A%2F%2F%2Fd"), "{query}");
        let (addr, exp, sig) = parts(&query);
        assert!(streams.take("unix:///other", &exp, &sig, now).is_none());
        assert!(streams.take(&addr, "100", &sig, now).is_none());
        assert!(streams.take(&addr, &exp, &"0".repeat(32), now).is_none());
        assert!(streams.take(&addr, &exp, "", now).is_none());
        assert!(streams.has(&addr, &exp, &sig, now) && !streams.has(&addr, "100", &sig, now));
        assert_eq!(streams.take(&addr, &exp, &sig, now).unwrap().to_string(), SOURCE);
        assert!(!streams.has(&addr, &exp, &sig, now));
        assert!(streams.take(&addr, &exp, &sig, now).is_none());
        let query = streams.publish(Url::parse(SOURCE).unwrap(), [8; 16], now, until, 99);
        let (addr, exp, sig) = parts(&query);
        assert!(streams.take(&addr, &exp, &sig, until).is_none());
        assert_eq!(streams.len(), 0);
    }

    proptest! {
        #[test]
        fn there_are_never_more_than_may_be(reads in prop::collection::vec(any::<bool>(), 0..50)) {
            let now = Instant::now();
            let mut streams = Streams::new(5);
            for (number, read) in reads.into_iter().enumerate() {
                let secret = [u8::try_from(number).unwrap(); 16];
                let until = now + Duration::from_secs(number as u64 + 1);
                let url = Url::parse(SOURCE).unwrap();
                let (addr, exp, sig) = parts(&streams.publish(url, secret, now, until, 5));
                if read {
                    prop_assert!(streams.take(&addr, &exp, &sig, now).is_some());
                }
                prop_assert!(streams.len() <= 5 && streams.ends.len() <= 50);
            }
        }
    }
}
