//! What is to be told of a request once it is answered: counts, the access log, `Server-Timing`.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Response};

use crate::access_log::Line;
use crate::chain::Services;
use crate::server::Served;
use crate::trace;

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// The marks that a request leaves on its way.
#[derive(Debug)]
pub(super) struct Trail {
    began: Instant,
    /// The response tells how long its parts took.
    timed: bool,
    api: Option<Arc<Served>>,
    /// When the last step before the upstream had passed, if that is told.
    hooked: Option<Instant>,
    /// When the head of the upstream's response had come, if that is told.
    asked: Option<Instant>,
    /// What the access log tells, if one is kept.
    line: Option<(Method, String, Option<String>)>,
}

impl Trail {
    /// Of a request that begins now.
    pub(super) fn new(services: &Services, parts: &Parts) -> Self {
        let line = services.access_log.as_ref().map(|_| {
            let trace = trace::of(&parts.headers);
            let trace = trace::id(&trace).map(str::to_owned);
            (parts.method.clone(), parts.uri.path().to_owned(), trace)
        });
        let timed = services.settings.server_timing;
        Self { began: Instant::now(), timed, api: None, hooked: None, asked: None, line }
    }

    /// The API is known.
    pub(super) fn leads_to(&mut self, served: &Arc<Served>) {
        self.api = Some(served.clone());
    }

    /// The steps before the upstream are passed.
    pub(super) fn hooks_done(&mut self) {
        self.hooked = self.timed.then(Instant::now);
    }

    /// The upstream has begun to answer, or failed.
    pub(super) fn upstream_done(&mut self) {
        self.asked = self.timed.then(Instant::now);
    }

    /// The request is answered with this.
    pub(super) fn end<B>(
        self,
        services: &Services,
        client: Option<IpAddr>,
        response: &mut Response<B>,
    ) {
        let now = Instant::now();
        let (status, took) = (response.status(), now - self.began);
        if let Some(served) = &self.api {
            served.chain.figures().answered(status, took);
        }
        if self.timed {
            let timing = self.timing(now);
            if let Ok(timing) = HeaderValue::from_str(&timing) {
                response.headers_mut().append(SERVER_TIMING, timing);
            }
        }
        if let (Some(log), Some((method, path, trace))) = (&services.access_log, self.line) {
            let api = self.api.map(|served| served.api.id.clone());
            log.tell(Line { client, method, path, api, status, took, trace });
        }
    }

    fn timing(&self, now: Instant) -> String {
        let part =
            |name: &str, took: Duration| format!("{name};dur={:.3}", took.as_secs_f64() * 1e3);
        let mut parts = Vec::new();
        if let Some(hooked) = self.hooked {
            parts.push(part("hooks", hooked - self.began));
            if let Some(asked) = self.asked {
                parts.push(part("upstream", asked - hooked));
                parts.push(part("response", now - asked));
            }
        }
        parts.push(part("total", now - self.began));
        parts.join(", ")
    }
}
