//! What hooks are called with and what becomes of their answers. A stand-in for the branch that owns it.
#![allow(missing_docs)]

use std::borrow::Cow;

use crate::api::{Api, Hook};
use crate::exchange::{Denied, Draft, Reply, Whole};
use crate::wire::{HookType, Object, SessionState, Texts};

#[derive(Clone, Copy, Debug)]
pub struct Rules {
    pub strict: bool,
    pub verbatim_names: bool,
}
#[allow(clippy::large_enum_variant)]
#[derive(Debug)]
pub enum Verdict {
    Continue { session: Option<SessionState>, metadata: Texts },
    Reply(Reply),
    Refuse(Denied),
}
pub fn request(_: HookType, _: &Hook, _: &Api, _: &Draft) -> Object {
    Object::default()
}
pub fn apply_request(_: &mut Draft, _: Object, _: Rules) -> Result<Verdict, Denied> {
    Ok(Verdict::Continue { session: None, metadata: Texts::new() })
}
pub fn response(_: &Hook, _: &Api, _: &Draft, _: &Whole) -> Object {
    Object::default()
}
pub fn apply_response(_: &mut Whole, _: Object, _: Rules) -> Result<(), Denied> {
    Ok(())
}
pub fn canonical(name: &str) -> Cow<'_, str> {
    name.into()
}
