//! How often an address may show a wrong token. Pure: the time is an argument.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// How many wrong tokens in a row an address may show before it has to pause.
const MOST: u32 = 10;
/// After how long one of them is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(6);
/// How many addresses are remembered; the one that has been quiet the longest makes room.
const ADDRESSES: usize = 1024;

/// The wrong tokens of each address.
#[derive(Debug, Default)]
pub(crate) struct Attempts(HashMap<IpAddr, Count>);

#[derive(Clone, Copy, Debug)]
struct Count {
    wrong: u32,
    /// Up to when wrong ones have been forgotten.
    since: Instant,
}

impl Count {
    /// What is left of it by now.
    fn at(self, now: Instant) -> Self {
        let steps = now.saturating_duration_since(self.since).as_secs() / FORGOTTEN.as_secs();
        let steps = u32::try_from(steps).unwrap_or(u32::MAX);
        match self.wrong.saturating_sub(steps) {
            0 => Self { wrong: 0, since: now },
            wrong => Self { wrong, since: self.since + FORGOTTEN * steps },
        }
    }
}

/// Neighbours in a network of IPv6 are one: whoever has an address there has them all.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let mut segments = address.segments();
            segments[4..].fill(0);
            IpAddr::V6(segments.into())
        }
        v4 => v4,
    }
}

impl Attempts {
    /// How long this address has to pause before a token of it is looked at, if it has to.
    pub(crate) fn pause(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        let count = self.0.get(&network(address))?.at(now);
        (count.wrong >= MOST).then(|| FORGOTTEN.saturating_sub(now - count.since))
    }

    /// It has shown a wrong one.
    pub(crate) fn wrong(&mut self, address: IpAddr, now: Instant) {
        let address = network(address);
        if self.0.len() >= ADDRESSES && !self.0.contains_key(&address) {
            self.0.retain(|_, count| count.at(now).wrong > 0);
            let quiet = self.0.iter().min_by_key(|(_, count)| count.since).map(|(one, _)| *one);
            if let Some(quiet) = quiet.filter(|_| self.0.len() >= ADDRESSES) {
                self.0.remove(&quiet);
            }
        }
        let count = self.0.entry(address).or_insert(Count { wrong: 0, since: now });
        *count = count.at(now);
        count.wrong = (count.wrong + 1).min(MOST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_pauses_after_ten_wrong_tokens_and_has_one_more_each_six_seconds() {
        let (mut attempts, start) = (Attempts::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let one = ip("192.0.2.1");
        for _ in 0..MOST {
            assert_eq!(attempts.pause(one, at(0)), None);
            attempts.wrong(one, at(0));
        }
        assert_eq!(attempts.pause(one, at(0)), Some(FORGOTTEN));
        assert_eq!(attempts.pause(one, at(4)), Some(Duration::from_secs(2)));
        assert_eq!(attempts.pause(ip("::ffff:192.0.2.1"), at(5)), Some(Duration::from_secs(1)));
        assert_eq!(attempts.pause(ip("192.0.2.2"), at(0)), None);
        assert_eq!(attempts.pause(one, at(6)), None);
        attempts.wrong(one, at(6));
        assert_eq!(attempts.pause(one, at(6)), Some(FORGOTTEN));
        assert_eq!(attempts.pause(one, at(600)), None);
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_and_the_memory_is_bounded() {
        let (mut attempts, now) = (Attempts::default(), Instant::now());
        (0..MOST).for_each(|n| attempts.wrong(ip(&format!("2001:db8::{n:x}")), now));
        assert!(attempts.pause(ip("2001:db8::ffff"), now).is_some());
        assert!(attempts.pause(ip("2001:db8:0:1::1"), now).is_none());
        for n in 0..3 * ADDRESSES as u32 {
            attempts.wrong(IpAddr::V4(n.into()), now + Duration::from_millis(n.into()));
        }
        assert!(attempts.0.len() <= ADDRESSES);
    }
}
