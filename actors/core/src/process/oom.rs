//! Who is killed first when memory runs out: the kernel's `oom_score_adj`.

use std::io;

use crate::scalar::Scalar;

/// The least and the highest value that the kernel takes.
const RANGE: std::ops::RangeInclusive<i16> = -1000..=1000;

/// By how much a helper is above the wrapper, so that it dies before the main process.
pub const OF_HELPERS: i16 = 100;

/// A value of `oom_score_adj`: the higher, the sooner it is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OomScore(pub i16);

impl Scalar for OomScore {
    const NOUN: &'static str = "an oom_score_adj";
    const EXPECTED: &'static str = "a whole number from -1000 to 1000";
    const NUMBERS: bool = true;

    fn read(text: &str) -> Option<Self> {
        text.parse().ok().filter(|score| RANGE.contains(score)).map(Self)
    }
}

crate::impl_scalar!(OomScore, "OomScore", {
    "anyOf": [
        { "type": "integer", "minimum": -1000, "maximum": 1000 },
        { "type": "string", "pattern": "^[+-]?[0-9]+$" }
    ]
});

/// What becomes of the `oom_score_adj` that a program inherits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OomAdjustment {
    /// It stays.
    #[default]
    Inherited,
    /// It becomes this.
    Set(OomScore),
    /// It is raised by this, as far as it goes. Where it cannot be, it stays: nobody asked for it.
    RaisedBy(i16),
}

impl OomAdjustment {
    /// The value for a program of a wrapper that has `own`; `None` where it stays.
    fn of(self, own: impl FnOnce() -> Option<i16>) -> Option<i16> {
        match self {
            Self::Inherited => None,
            Self::Set(OomScore(score)) => Some(score),
            Self::RaisedBy(by) => {
                let own = own()?;
                let raised = own.saturating_add(by).min(*RANGE.end());
                (raised > own).then_some(raised)
            }
        }
    }

    /// Applies it to a process that was just started and has started nothing itself.
    ///
    /// # Errors
    /// Where a value that was set cannot be: only CAP_SYS_RESOURCE allows a lower one.
    pub(super) fn apply(self, pid: i32) -> io::Result<()> {
        let Some(score) = self.of(own) else { return Ok(()) };
        match std::fs::write(format!("/proc/{pid}/oom_score_adj"), score.to_string()) {
            Err(error) if matches!(self, Self::Set(_)) => Err(error),
            _ => Ok(()),
        }
    }
}

/// The wrapper's own.
fn own() -> Option<i16> {
    std::fs::read_to_string("/proc/self/oom_score_adj").ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores() {
        for (text, score) in [("0", Some(0)), ("-1000", Some(-1000)), ("1000", Some(1000))] {
            assert_eq!(OomScore::read(text).map(|score| score.0), score);
        }
        for text in ["", "1001", "-1001", "1.5", "much", "99999999"] {
            assert_eq!(OomScore::read(text), None, "{text}");
        }
    }

    #[test]
    fn helpers_are_raised_as_far_as_it_goes_and_never_lowered() {
        let raised = |own| OomAdjustment::RaisedBy(OF_HELPERS).of(|| own);
        assert_eq!(raised(Some(0)), Some(100));
        assert_eq!(raised(Some(-998)), Some(-898));
        assert_eq!(raised(Some(950)), Some(1000));
        assert_eq!(raised(Some(1000)), None);
        assert_eq!(raised(None), None);
        let no_need = || -> Option<i16> { panic!("its own does not matter") };
        assert_eq!(OomAdjustment::Inherited.of(no_need), None);
        assert_eq!(OomAdjustment::Set(OomScore(-5)).of(no_need), Some(-5));
    }
}
