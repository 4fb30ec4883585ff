//! What coordinators say to each other beside the messages that all programs know: the round of an
//! offer and who passed on it, and what came of it. It travels as headers.

use async_nats::HeaderMap;

use crate::forward::Untaken;

const ROUND: &str = "Coproc-Round";
const PASSED: &str = "Coproc-Passed";
const WAIT: &str = "Coproc-Wait";
const VERDICT: &str = "Coproc-Verdict";
const FROM: &str = "Coproc-From";

/// What is said with an offer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Offer {
    /// 0 is that of one coordinator of the group.
    pub(super) round: u32,
    /// The coordinators that need not answer.
    pub(super) passed: Vec<String>,
    /// The coordinators that know a provider that comes back, if it is waited for: each of them answers,
    /// though it be late or to say that nothing comes any more.
    pub(super) hoped: Option<Vec<String>>,
}

/// What a coordinator makes of an offer, beside its ack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The ack is the last word.
    Final,
    /// Nothing runs, for nobody is there.
    Nobody,
    /// Nobody is there, and one is known who comes back.
    Later,
    /// Nothing runs, for all refused it.
    Refused,
}

impl Offer {
    pub(super) fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(ROUND, self.round.to_string());
        headers.insert(PASSED, self.passed.join(" "));
        if let Some(hoped) = &self.hoped {
            headers.insert(WAIT, hoped.join(" "));
        }
        headers
    }

    pub(super) fn read(headers: Option<&HeaderMap>) -> Self {
        let Some(headers) = headers else { return Self::default() };
        let text = |name: &str| headers.get(name).map(|value| value.as_str());
        let names = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        Self {
            round: text(ROUND).and_then(|round| round.parse().ok()).unwrap_or(0),
            passed: text(PASSED).map(names).unwrap_or_default(),
            hoped: text(WAIT).map(names),
        }
    }

    /// Whether this coordinator's word is waited for.
    pub(super) fn hopes_for(&self, name: &str) -> bool {
        self.hoped.iter().flatten().any(|hoped| hoped == name)
    }

    /// The last part of the subject on which it is claimed.
    pub(super) fn claim(&self) -> String {
        match self.round {
            0 => "claim".to_owned(),
            round => format!("claim-{round}"),
        }
    }
}

/// The round that is claimed by the last part of a subject.
pub(super) fn claimed(part: &str) -> Option<u32> {
    match part.strip_prefix("claim")? {
        "" => Some(0),
        rest => rest.strip_prefix('-')?.parse().ok(),
    }
}

impl Verdict {
    pub(super) fn of(untaken: &Untaken) -> Self {
        match untaken {
            Untaken::Nobody(_) => Self::Nobody,
            Untaken::Refused(_) => Self::Refused,
            Untaken::Unclear(_) => Self::Final,
        }
    }

    /// `from` is the name of whoever says it.
    pub(super) fn headers(self, from: &str) -> Option<HeaderMap> {
        let word = match self {
            Self::Final => return None,
            Self::Nobody => "nobody",
            Self::Later => "later",
            Self::Refused => "refused",
        };
        let mut headers = HeaderMap::new();
        headers.insert(VERDICT, word);
        headers.insert(FROM, from);
        Some(headers)
    }

    /// The verdict, and whose it is.
    pub(super) fn read(headers: Option<&HeaderMap>) -> (Self, String) {
        let text = |name: &str| headers?.get(name).map(|value| value.as_str());
        let verdict = match text(VERDICT) {
            Some("nobody") => Self::Nobody,
            Some("later") => Self::Later,
            Some("refused") => Self::Refused,
            _ => Self::Final,
        };
        (verdict, text(FROM).unwrap_or_default().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_read() {
        let offer =
            Offer { round: 3, passed: vec!["a".into(), "b".into()], hoped: Some(vec!["c".into()]) };
        assert_eq!(Offer::read(Some(&offer.headers())), offer);
        assert!(offer.hopes_for("c") && !offer.hopes_for("a"));
        assert_eq!(Offer::read(None), Offer::default());
        assert_eq!((offer.claim(), Offer::default().claim()), ("claim-3".into(), "claim".into()));
        for (part, round) in
            [("claim", Some(0)), ("claim-3", Some(3)), ("claim3", None), ("response", None)]
        {
            assert_eq!(claimed(part), round, "{part}");
        }
        for verdict in [Verdict::Nobody, Verdict::Later, Verdict::Refused] {
            let headers = verdict.headers("x");
            assert_eq!(Verdict::read(headers.as_ref()), (verdict, "x".into()));
        }
        assert_eq!(Verdict::read(Verdict::Final.headers("x").as_ref()).0, Verdict::Final);
    }
}
