//! What a request costs in the chain that an ID extractor finds the session of, so that its hook is not asked:
//! no socket is in the way. Beside it one whose key is looked up, and one that needs neither.
#![allow(clippy::print_stdout, unreachable_pub)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use coproc_gateway::api::{Api, Auth, BodyWanted, Hook, Hooks, Identity, KeySource, OnError};
use coproc_gateway::chain::{Chain, Services};
use coproc_gateway::config::{Config, StoreConfig};
use coproc_gateway::exchange::{Draft, Scheme, Target};
use coproc_gateway::extractor::{Extractor, Source, With, session_id};
use coproc_gateway::session::Session;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

/// Requests of a round, and rounds; an odd number, for there to be one in the middle.
const REQUESTS: u32 = 100_000;
const ROUNDS: usize = 7;
const KEY: &str = "0123456789abcdef0123456789abcdef";

/// Measures all three in turns, and prints microseconds for each request.
pub fn measure(folder: &Path) {
    let store = StoreConfig::File(Some(folder.join("extractor.redb")));
    let (services, _heard) = Services::open(&Config { store, ..Config::default() }, None).unwrap();
    let services = Arc::new(services);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let until = SystemTime::now() + Duration::from_secs(3600);
        let until = until.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let session = Session {
            rate: 1e9,
            per: 1.0,
            id_extractor_deadline: i64::try_from(until).unwrap(),
            ..Session::default()
        };
        for id in [session_id("bench", KEY, None), KEY.to_owned()] {
            services.keys.keep(&*id, &session, None).await.unwrap();
        }
        let chains = [hit(), key(), crate::api("1", Hooks::default())];
        let chains = chains.map(|api| Chain::new(Arc::new(api), services.clone()));
        let mut times = [const { Vec::new() }; 3];
        for _ in 0..ROUNDS {
            for (times, chain) in times.iter_mut().zip(&chains) {
                times.push(timed(chain).await);
            }
        }
        let [hit, key, none] = times.map(|mut times| {
            times.sort_by(f64::total_cmp);
            times[ROUNDS / 2]
        });
        println!(
            "microseconds in the chain of an API, for each request; medians of {ROUNDS} rounds"
        );
        println!("{:>16} {:>12} {:>12}", "ID extractor hit", "key known", "no steps");
        println!("{hit:>16.2} {key:>12.2} {none:>12.2}");
    });
}

async fn timed(chain: &Chain) -> f64 {
    let mut draft = draft();
    let began = Instant::now();
    for _ in 0..REQUESTS {
        draft.session = None;
        // A hook that was asked would have failed: nobody is there.
        chain.request(&mut draft).await.unwrap();
    }
    began.elapsed().as_secs_f64() * 1e6 / f64::from(REQUESTS)
}

/// Whose hook authenticates, and whose extractor spares it.
fn hit() -> Api {
    let hook = Hook {
        name: "Token".into(),
        body: BodyWanted::None,
        timeout: None,
        on_error: OnError::Closed(None),
    };
    let extractor = Extractor { source: Source::Header(header::AUTHORIZATION), with: With::Value };
    let hooks = Hooks {
        driver: "grpc".into(),
        auth: Some(Arc::new(hook)),
        extractor: Some(Arc::new(extractor)),
        ..Hooks::default()
    };
    Api { auth: Some(auth(true)), ..limited(hooks) }
}

/// Whose requests bear a key.
fn key() -> Api {
    Api { auth: Some(auth(false)), ..limited(Hooks::default()) }
}

fn limited(hooks: Hooks) -> Api {
    Api { disable_rate_limit: false, disable_quota: false, ..crate::api("1", hooks) }
}

fn auth(custom: bool) -> Auth {
    let key = KeySource { header: Some(header::AUTHORIZATION), ..KeySource::default() };
    let custom_key = KeySource::default();
    Auth { custom, standard: !custom, key, custom_key, identity: Identity::Custom }
}

fn draft() -> Draft {
    let headers = [
        (header::USER_AGENT, "bench/1.0"),
        (header::ACCEPT, "*/*"),
        (header::ACCEPT_ENCODING, "gzip, deflate"),
        (header::AUTHORIZATION, KEY),
    ];
    let headers: HeaderMap = headers
        .into_iter()
        .map(|(name, value): (HeaderName, _)| (name, HeaderValue::from_static(value)))
        .collect();
    Draft {
        method: Method::GET,
        target: Target { path: "/bench/item".to_owned(), query: Some("number=7".to_owned()) },
        received: "/bench/item?number=7".to_owned(),
        authority: "bench.example".to_owned(),
        scheme: Scheme::Http,
        headers,
        body: None,
        client: None,
        session: None,
    }
}
