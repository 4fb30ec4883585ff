//! The order of the steps that a request passes, made once for each API. Pure.

use std::sync::Arc;

use crate::api::{Api, Hook};
use crate::wire::HookType;

/// One step of a request.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// A hook before or after authentication.
    Hook(HookType, Arc<Hook>, usize),
    /// The hook that authenticates.
    CustomAuth(Arc<Hook>, usize),
    /// The key that every client without such a hook has.
    StandardAuth,
    /// Credentials are taken out.
    Strip,
    /// The session is neither expired nor inactive.
    Alive,
    /// The session may use this API.
    Rights,
    /// The session may use this path.
    Granular,
    /// The session is within its rate and quota.
    Limits,
}

/// The steps of an API. `hooked` says whether its hooks are run at all; the number that a hook has is
/// its place in [`hooks`].
pub(super) fn steps(api: &Api, hooked: bool) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut place = 0;
    let mut run = |steps: &mut Vec<Step>, kind, hooks: &[Arc<Hook>]| {
        for hook in hooks {
            if hooked {
                steps.push(match kind {
                    HookType::CustomKeyCheck => Step::CustomAuth(hook.clone(), place),
                    kind => Step::Hook(kind, hook.clone(), place),
                });
            }
            place += 1;
        }
    };
    run(&mut steps, HookType::Pre, &api.hooks.pre);
    if let Some(auth) = &api.auth {
        if auth.custom {
            run(&mut steps, HookType::CustomKeyCheck, api.hooks.auth.as_slice());
        }
        // Where hooks are switched off, a key takes the place of the one that authenticates.
        let custom = auth.custom && hooked && api.hooks.auth.is_some();
        if auth.standard || !custom {
            steps.push(Step::StandardAuth);
        }
        run(&mut steps, HookType::PostKeyAuth, &api.hooks.post_key_auth);
        if api.strip_auth_data {
            steps.push(Step::Strip);
        }
        steps.extend([Step::Alive, Step::Rights, Step::Granular, Step::Limits]);
    }
    run(&mut steps, HookType::Post, &api.hooks.post);
    steps
}

/// The hooks of an API that requests can come to, in the order of the steps, the response's last.
pub(super) fn hooks(api: &Api) -> Vec<(HookType, Arc<Hook>)> {
    let auth = api.auth.as_ref();
    let custom = auth.filter(|auth| auth.custom).and(api.hooks.auth.as_slice().first());
    let key_auth: &[_] = if auth.is_some() { &api.hooks.post_key_auth } else { &[] };
    let of = |kind, hooks: &[Arc<Hook>]| {
        hooks.iter().map(|hook| (kind, hook.clone())).collect::<Vec<_>>()
    };
    let mut all = of(HookType::Pre, &api.hooks.pre);
    all.extend(custom.map(|hook| (HookType::CustomKeyCheck, hook.clone())));
    all.extend(of(HookType::PostKeyAuth, key_auth));
    all.extend(of(HookType::Post, &api.hooks.post));
    all.extend(of(HookType::Response, &api.hooks.response));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::tests::api;
    use crate::api::{Auth, BodyWanted, Identity, KeySource, OnError};

    fn hook(name: &str) -> Arc<Hook> {
        let (name, body) = (name.to_owned(), BodyWanted::Full);
        Arc::new(Hook { name, body, timeout: None, on_error: OnError::Closed(None) })
    }

    fn full(auth: Option<(bool, bool)>) -> Api {
        let mut api = api("a1");
        api.hooks.pre = vec![hook("pre1"), hook("pre2")];
        api.hooks.auth = Some(hook("auth"));
        api.hooks.post_key_auth = vec![hook("key")];
        api.hooks.post = vec![hook("post")];
        api.hooks.response = vec![hook("response")];
        api.strip_auth_data = true;
        api.auth = auth.map(|(custom, standard)| Auth {
            custom,
            standard,
            key: KeySource::default(),
            custom_key: KeySource::default(),
            identity: Identity::Custom,
        });
        api
    }

    fn shown(api: &Api, hooked: bool) -> String {
        let all = hooks(api);
        let step = |step: &Step| match step {
            Step::Hook(kind, hook, place) => {
                assert_eq!((all[*place].0, &all[*place].1.name), (*kind, &hook.name));
                hook.name.clone()
            }
            Step::CustomAuth(hook, place) => {
                assert_eq!(all[*place].0, HookType::CustomKeyCheck);
                hook.name.clone()
            }
            other => format!("{other:?}"),
        };
        steps(api, hooked).iter().map(step).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_order_is_the_specifications() {
        assert_eq!(shown(&full(None), true), "pre1 pre2 post");
        assert_eq!(
            shown(&full(Some((true, false))), true),
            "pre1 pre2 auth key Strip Alive Rights Granular Limits post"
        );
        assert_eq!(
            shown(&full(Some((true, true))), true),
            "pre1 pre2 auth StandardAuth key Strip Alive Rights Granular Limits post"
        );
        assert_eq!(
            shown(&full(Some((false, false))), true),
            "pre1 pre2 StandardAuth key Strip Alive Rights Granular Limits post"
        );
    }

    #[test]
    fn hooks_that_are_switched_off_leave_a_key_in_their_place() {
        assert_eq!(shown(&full(None), false), "");
        assert_eq!(
            shown(&full(Some((true, false))), false),
            "StandardAuth Strip Alive Rights Granular Limits"
        );
    }
}
