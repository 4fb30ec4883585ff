//! The chain of an API: the steps that its requests pass, in the order that is made once, and the hooks that
//! its responses pass. What is decided is decided by pure functions; here they are carried out.

mod auth;
mod call;
mod opening;
mod outcome;
mod services;
mod step;
mod walk;

use std::sync::Arc;

use http::{HeaderMap, HeaderValue};

use crate::api::{Api, BodyWanted, Identity};
use crate::driver::{Driver, Failure};
use crate::event::{About, Details, Kind, Voice};
use crate::exchange::{Attached, Denied, Draft, Reply};
use crate::figures::{ApiFigures, HookFigures};
use crate::object::Spec;
use crate::repeats::Repeats;
use crate::wire::HookType;

pub use opening::ServicesError;
pub use services::{Services, Settings};
use step::{Step, hooks, steps};

/// What ends a request before the upstream is asked.
#[derive(Clone, Debug)]
pub enum Stop {
    /// The client gets this.
    Reply(Reply),
}

/// The chain of one API.
#[derive(Debug)]
pub struct Chain {
    api: Arc<Api>,
    /// What hooks are told of the API.
    spec: Spec,
    services: Arc<Services>,
    steps: Vec<Step>,
    driver: Option<Arc<dyn Driver>>,
    /// Whose session counts where both a hook and a key are asked.
    identity: Option<Identity>,
    voice: Arc<Voice>,
    figures: Arc<ApiFigures>,
    /// In the order of [`hooks`].
    hook_figures: Vec<Arc<HookFigures>>,
    /// What the log is told of them, by kind of failure.
    complaints: Vec<[Repeats; Failure::KINDS.len()]>,
    /// What it is told of their answers that cannot be applied.
    unfit: Vec<Repeats>,
    wants_body: bool,
    wants_response_body: bool,
}

impl Chain {
    /// The chain of an API.
    pub fn new(api: Arc<Api>, services: Arc<Services>) -> Self {
        let hooked = services.settings.enable_coprocess;
        let all = hooks(&api);
        let driver = services.drivers.get(api.hooks.driver.as_str()).cloned();
        if driver.is_none() && !api.events.is_empty() {
            tracing::error!(
                target: "gateway",
                "API `{}` has handlers of events, and no plugin driver is available",
                api.name
            );
        }
        let wants = |kinds: fn(HookType) -> bool| {
            let mut hooks = all.iter().filter(|(kind, _)| kinds(*kind));
            hooked && driver.is_some() && hooks.any(|(_, hook)| hook.body != BodyWanted::None)
        };
        Self {
            steps: steps(&api, hooked),
            spec: Spec::of(&api),
            wants_body: wants(|kind| kind != HookType::Response),
            // Whatever of a response a hook wants to see, what it returns is the whole of it.
            wants_response_body: !api.hooks.response.is_empty(),
            voice: Arc::new(Voice::of_api(
                &api,
                driver.as_ref(),
                services.events.clone(),
                services.heard.clone(),
            )),
            figures: services.figures.api(&api.id),
            hook_figures: all
                .iter()
                .map(|(kind, hook)| services.figures.hook(&api.id, *kind, &hook.name))
                .collect(),
            complaints: all.iter().map(|_| Default::default()).collect(),
            unfit: all.iter().map(|_| Repeats::default()).collect(),
            identity: api
                .auth
                .as_ref()
                .filter(|auth| auth.custom && auth.standard && hooked)
                .map(|auth| auth.identity),
            driver,
            api,
            services,
        }
    }

    /// The API.
    pub fn api(&self) -> &Arc<Api> {
        &self.api
    }

    /// What its requests are counted in.
    pub fn figures(&self) -> &ApiFigures {
        &self.figures
    }

    /// Whether the body of a request with these headers has to be whole before [`Chain::request`].
    pub fn wants_body(&self, headers: &HeaderMap) -> bool {
        let extracts = || {
            let mut steps = self.steps.iter();
            let extractor = self.api.hooks.extractor.as_ref();
            let is_asked = |step: &Step| matches!(step, Step::CustomAuth(..));
            extractor.is_some_and(|one| one.wants_body(headers)) && steps.any(is_asked)
        };
        self.wants_body || extracts()
    }

    /// Whether a response's body has to be whole, for [`Chain::response`].
    pub fn wants_response_body(&self) -> bool {
        self.wants_response_body
    }

    /// Sets the headers that the API has in all its responses.
    pub fn inject(&self, session: Option<&Attached>, headers: &mut HeaderMap) {
        for (name, template) in &self.api.response_headers {
            let value = template.render(session.map(|attached| &attached.session));
            // What metadata hold may be no header.
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name.clone(), value);
            }
        }
    }

    /// The page for a refusal.
    pub fn page(&self, denied: Denied, draft: &Draft) -> Reply {
        self.services.pages.denied(denied, &draft.headers)
    }

    /// Who is told of what happens to the API.
    pub fn voice(&self) -> &Arc<Voice> {
        &self.voice
    }

    /// Tells of what happened to a request.
    fn tell(&self, kind: Kind, message: &str, draft: &Draft, key: &str) {
        self.voice.tell(About { kind, message, details: Details::Request(draft, key) });
    }
}
