//! What a client is told of a hook that could not be run: the failure's kind, the hook's kind and its
//! `on_error` in, an outcome out. Pure.

use http::StatusCode;

use crate::api::OnError;
use crate::driver::Failure;
use crate::exchange::Denied;
use crate::wire::HookType;

/// What becomes of a request whose hook failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It goes on as if the hook were not there.
    Pass,
    /// It is refused.
    Refuse(Denied),
}

/// The outcome of a failed call.
///
/// A plugin that answers an authentication with an error has been asked and did not say yes: that is
/// never let through.
pub(super) fn of_failure(kind: HookType, failure: &Failure, on_error: OnError) -> Outcome {
    let answered = matches!(failure, Failure::Refused(_));
    match on_error {
        OnError::Open if !(answered && kind == HookType::CustomKeyCheck) => Outcome::Pass,
        OnError::Closed(Some(status)) => Outcome::Refuse(Denied::new(status, "Middleware error")),
        OnError::Open | OnError::Closed(None) => Outcome::Refuse(usual(kind, failure)),
    }
}

/// The outcome of an answer that cannot be applied, such as one with a bad `url`.
pub(super) fn of_answer(on_error: OnError) -> Outcome {
    let denied = Denied::middleware();
    match on_error {
        OnError::Open => Outcome::Pass,
        OnError::Closed(Some(status)) => Outcome::Refuse(Denied { status, ..denied }),
        OnError::Closed(None) => Outcome::Refuse(denied),
    }
}

/// What is told of an API whose driver is not there.
pub(super) fn without_driver(kind: HookType) -> Denied {
    match kind {
        HookType::Response => Denied::middleware(),
        _ => Denied::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"),
    }
}

fn usual(kind: HookType, failure: &Failure) -> Denied {
    match (failure, kind) {
        // The gateway itself is too busy, which is nobody's fault and soon over.
        (Failure::Busy, _) => Denied::new(StatusCode::SERVICE_UNAVAILABLE, "Middleware error"),
        (_, HookType::CustomKeyCheck) => Denied::new(StatusCode::FORBIDDEN, "Key not authorised"),
        _ => Denied::middleware(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [HookType; 5] = [
        HookType::Pre,
        HookType::CustomKeyCheck,
        HookType::PostKeyAuth,
        HookType::Post,
        HookType::Response,
    ];

    fn failures() -> Vec<Failure> {
        let why = || "why".to_owned();
        vec![
            Failure::Refused(why()),
            Failure::Unreachable(why()),
            Failure::Late,
            Failure::Busy,
            Failure::Resting,
            Failure::TooLarge(why()),
            Failure::Malformed(why()),
        ]
    }

    fn told(outcome: Outcome) -> (u16, String) {
        match outcome {
            Outcome::Pass => (0, String::new()),
            Outcome::Refuse(denied) => (denied.status.as_u16(), denied.message),
        }
    }

    #[test]
    fn closed_is_a_403_for_authentication_and_a_500_for_the_others() {
        for failure in failures().into_iter().filter(|failure| *failure != Failure::Busy) {
            for kind in KINDS {
                let expected = match kind {
                    HookType::CustomKeyCheck => (403, "Key not authorised".to_owned()),
                    _ => (500, "Middleware error".to_owned()),
                };
                let told = told(of_failure(kind, &failure, OnError::Closed(None)));
                assert_eq!(told, expected, "{kind:?} {failure:?}");
            }
        }
    }

    #[test]
    fn a_full_queue_is_a_503() {
        for kind in KINDS {
            let told = told(of_failure(kind, &Failure::Busy, OnError::Closed(None)));
            assert_eq!(told.0, 503, "{kind:?}");
        }
    }

    #[test]
    fn a_status_of_ones_own_stands_for_all_others() {
        let status = OnError::Closed(Some(StatusCode::GATEWAY_TIMEOUT));
        for failure in failures() {
            for kind in KINDS {
                assert_eq!(told(of_failure(kind, &failure, status)).0, 504);
            }
        }
    }

    #[test]
    fn open_lets_all_pass_but_an_authentication_that_was_answered() {
        for failure in failures() {
            for kind in KINDS {
                let outcome = of_failure(kind, &failure, OnError::Open);
                let refused =
                    kind == HookType::CustomKeyCheck && matches!(failure, Failure::Refused(_));
                assert_eq!(outcome != Outcome::Pass, refused, "{kind:?} {failure:?}");
            }
        }
    }
}
