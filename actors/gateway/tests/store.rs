//! Both stores keep what they are given: one suite over a file and over a real redis-server.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use coproc_gateway::store::{
    Count, Embedded, Shared, SharedConfig, Store, StoreError, data, keep_data,
};
use tempfile::TempDir;

/// How long any fact may take to come true on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn a_file_that_was_cut_off_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    drop(Embedded::open(&path).unwrap());
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    let length = file.metadata().unwrap().len();
    for left in [length / 2, length / 3] {
        file.set_len(left).unwrap();
        let StoreError(why) = Embedded::open(&path).map(drop).unwrap_err();
        assert!(
            why.starts_with(&format!("the store `{}` cannot be opened", path.display())),
            "{why}"
        );
    }
}

/// A redis-server on a socket in a folder of its own, ended with the test.
struct Redis {
    folder: TempDir,
    child: Child,
}

impl Redis {
    fn start(words: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let child = serve(folder.path(), words);
        Self { folder, child }
    }

    fn end(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn config(&self) -> SharedConfig {
        SharedConfig {
            url: format!("redis+unix://{}", self.folder.path().join("redis.sock").display()),
            user: None,
            password: None,
            prefix: String::new(),
            timeout: Duration::from_secs(5),
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It may have been ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[allow(clippy::disallowed_methods)]
fn serve(folder: &Path, words: &[&str]) -> Child {
    let socket = folder.join("redis.sock");
    let child = Command::new("redis-server")
        .args(["--port", "0", "--save", "", "--daemonize", "no", "--unixsocket"])
        .arg(&socket)
        .arg("--dir")
        .arg(folder)
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server is installed by .ci/install");
    let end = Instant::now() + PATIENCE;
    while UnixStream::connect(&socket).is_err() {
        assert!(Instant::now() < end, "redis-server is not up");
        std::thread::sleep(Duration::from_millis(10));
    }
    child
}

fn embedded(folder: &TempDir) -> Embedded {
    Embedded::open(&folder.path().join("store.redb")).unwrap()
}

/// One case over both stores.
macro_rules! both {
    ($(fn $name:ident($store:ident) $body:block)*) => {$(
        mod $name {
            use super::*;

            async fn case($store: Arc<dyn Store>) $body

            #[tokio::test]
            async fn in_a_file() {
                let folder = tempfile::tempdir().unwrap();
                case(Arc::new(embedded(&folder))).await;
            }

            #[tokio::test]
            async fn in_redis() {
                let redis = Redis::start(&[]);
                case(Arc::new(Shared::new(redis.config()).unwrap())).await;
            }
        }
    )*};
}

async fn get(store: &Arc<dyn Store>, key: &str) -> Option<Vec<u8>> {
    store.get(key).await.unwrap()
}

async fn until_gone(store: &Arc<dyn Store>, key: &str) {
    let end = Instant::now() + PATIENCE;
    while get(store, key).await.is_some() {
        assert!(Instant::now() < end, "`{key}` is still there");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

const HOUR: Option<Duration> = Some(Duration::from_secs(3600));

both! {
    fn what_is_set_is_there_until_it_is_removed(store) {
        assert_eq!(get(&store, "a").await, None);
        store.set("a", b"one".to_vec(), None).await.unwrap();
        store.set("b", vec![0, 255, b'\n'], HOUR).await.unwrap();
        assert_eq!(get(&store, "a").await.as_deref(), Some(&b"one"[..]));
        assert_eq!(get(&store, "b").await.as_deref(), Some(&[0, 255, b'\n'][..]));
        store.set("a", Vec::new(), HOUR).await.unwrap();
        assert_eq!(get(&store, "a").await, Some(Vec::new()));
        assert!(store.remove("a").await.unwrap());
        assert!(!store.remove("a").await.unwrap());
        assert_eq!(get(&store, "a").await, None);
    }

    fn keys_are_listed_by_their_beginning(store) {
        for key in ["apikey-b", "apikey-a", "apikez", "apike", "quota-a", "a*[x]1", "a*[x]2", "ab"] {
            store.set(key, b"1".to_vec(), HOUR).await.unwrap();
        }
        assert_eq!(store.keys("apikey-").await.unwrap(), ["apikey-a", "apikey-b"]);
        assert_eq!(store.keys("a*[x]").await.unwrap(), ["a*[x]1", "a*[x]2"]);
        assert_eq!(store.keys("none").await.unwrap(), Vec::<String>::new());
        assert_eq!(store.keys("").await.unwrap().len(), 8);
    }

    fn what_has_outlived_its_time_is_not_there(store) {
        let short = Some(Duration::from_millis(30));
        store.set("a", b"1".to_vec(), short).await.unwrap();
        store.set("stays", b"1".to_vec(), short).await.unwrap();
        store.set("stays", b"2".to_vec(), None).await.unwrap();
        until_gone(&store, "a").await;
        assert_eq!(store.keys("").await.unwrap(), ["stays"]);
        assert!(!store.remove("a").await.unwrap());
        assert_eq!(get(&store, "stays").await.as_deref(), Some(&b"2"[..]));
    }

    fn a_number_is_counted_and_comes_to_its_end(store) {
        assert_eq!(store.counted("n").await.unwrap(), None);
        let first = store.count("n", 4, HOUR).await.unwrap();
        assert_eq!(first.value, 5);
        assert!(first.left.unwrap() <= HOUR.unwrap() && first.left.unwrap() > HOUR.unwrap() / 2);
        assert_eq!(store.count("n", 0, None).await.unwrap().value, 6);
        let Count { value, left } = store.counted("n").await.unwrap().unwrap();
        assert!(value == 6 && left.is_some(), "its life is the first one's");
        let endless = store.count("m", 0, None).await.unwrap();
        assert_eq!(endless, Count { value: 1, left: None });
        store.count("short", 7, Some(Duration::from_millis(30))).await.unwrap();
        until_gone(&store, "short").await;
        assert_eq!(store.count("short", 0, HOUR).await.unwrap().value, 1);
        store.set("text", b"x".to_vec(), None).await.unwrap();
        store.count("text", 0, None).await.unwrap_err();
        assert_eq!(store.count("n", 0, None).await.unwrap().value, 7);
    }

    fn many_count_at_once_and_none_is_lost(store) {
        let tasks: Vec<_> = (0..32).map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                for _ in 0..8 {
                    store.count("n", 0, HOUR).await.unwrap();
                }
            })
        }).collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(store.counted("n").await.unwrap().unwrap().value, 256);
    }

    fn t59_data_of_plugins(store) {
        keep_data(&*store, "k", b"v".to_vec(), 60).await.unwrap();
        assert_eq!(data(&*store, "k").await.unwrap(), b"v");
        assert_eq!(data(&*store, "none").await.unwrap(), b"");
        assert_eq!(store.keys("coprocess-data:").await.unwrap(), ["coprocess-data:k"]);
        keep_data(&*store, "ever", b"v".to_vec(), 0).await.unwrap();
        assert_eq!(data(&*store, "ever").await.unwrap(), b"v");
    }
}

#[tokio::test]
async fn a_file_is_its_owners_alone_and_outlives_the_gateway() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let store = embedded(&folder);
    assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
    store.set("a", b"1".to_vec(), None).await.unwrap();
    store.set("short", b"1".to_vec(), Some(Duration::from_millis(1))).await.unwrap();
    store.count("n", 0, None).await.unwrap();
    let error = Embedded::open(&path).unwrap_err().0;
    assert!(error.contains("store.redb` cannot be opened: "), "{error}");
    drop(store);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::thread::sleep(Duration::from_millis(2));
    let store = embedded(&folder);
    assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
    assert_eq!(store.get("a").await.unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(store.counted("n").await.unwrap(), Some(Count { value: 1, left: None }));
    assert_eq!(store.keys("").await.unwrap(), ["a", "n"]);
}

#[tokio::test]
async fn what_is_no_store_is_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    std::fs::write(&path, "mine, and long enough to be looked at by somebody".repeat(100)).unwrap();
    Embedded::open(&path).unwrap_err();
    assert!(std::fs::read_to_string(&path).unwrap().starts_with("mine, "));
    let link = folder.path().join("link");
    std::os::unix::fs::symlink("/nowhere", &link).unwrap();
    Embedded::open(&link).unwrap_err();
    Embedded::open(folder.path()).unwrap_err();
    Embedded::open(&folder.path().join("none/store.redb")).unwrap_err();
}

#[tokio::test]
async fn names_in_redis_have_a_prefix_and_are_tyks() {
    let redis = Redis::start(&[]);
    let plain = Shared::new(redis.config()).unwrap();
    let config = SharedConfig { prefix: "x*:".to_owned(), ..redis.config() };
    let prefixed = Shared::new(config).unwrap();
    prefixed.set("apikey-a", b"1".to_vec(), None).await.unwrap();
    assert_eq!(prefixed.keys("apikey-").await.unwrap(), ["apikey-a"]);
    assert_eq!(plain.keys("").await.unwrap(), ["x*:apikey-a"]);
}

#[tokio::test]
async fn redis_may_come_later_and_may_come_back() {
    let mut redis = Redis::start(&[]);
    let store = Shared::new(redis.config()).unwrap();
    redis.end();
    let StoreError(why) = store.get("a").await.unwrap_err();
    assert!(why.starts_with("Redis: "), "{why}");
    for round in 0..2 {
        redis.child = serve(redis.folder.path(), &[]);
        let end = Instant::now() + PATIENCE;
        while store.set("a", b"1".to_vec(), None).await.is_err() {
            assert!(Instant::now() < end, "no connection in round {round}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(store.get("a").await.unwrap().as_deref(), Some(&b"1"[..]));
        redis.end();
        store.get("a").await.unwrap_err();
    }
}

#[tokio::test]
async fn a_redis_that_stands_still_is_not_waited_for() {
    let redis = Redis::start(&[]);
    let config = SharedConfig { timeout: Duration::from_millis(100), ..redis.config() };
    let store = Shared::new(config).unwrap();
    store.set("a", b"1".to_vec(), None).await.unwrap();
    let pid = rustix::process::Pid::from_raw(redis.child.id() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    store.get("a").await.unwrap_err();
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
    let end = Instant::now() + PATIENCE;
    while store.get("a").await.ok().flatten().is_none() {
        assert!(Instant::now() < end, "it does not answer");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_password_is_said_and_not_shown() {
    let redis = Redis::start(&["--requirepass", "open-sesame"]);
    Shared::new(redis.config()).unwrap().get("a").await.unwrap_err();
    let config = SharedConfig { password: Some("open-sesame".to_owned()), ..redis.config() };
    let store = Shared::new(config).unwrap();
    assert_eq!(store.get("a").await.unwrap(), None);
    assert!(!format!("{store:?}").contains("sesame"));
    let url = "redis://:open-sesame@127.0.0.1:1/".to_owned();
    let StoreError(why) = Shared::new(SharedConfig { url, ..redis.config() }).unwrap_err();
    assert!(!why.contains("sesame") && why.contains("`password`"), "{why}");
    for url in ["http://127.0.0.1", "rediss://127.0.0.1", "127.0.0.1:6379", ""] {
        Shared::new(SharedConfig { url: url.to_owned(), ..redis.config() }).unwrap_err();
    }
}

#[tokio::test]
async fn what_is_no_number_fails_for_itself_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(embedded(&folder));
    store.set("no-number", b"x".to_vec(), None).await.unwrap();
    // Enough at once for some to share a transaction.
    let counts = (0..200).map(|number| {
        let store = store.clone();
        tokio::spawn(async move {
            let key = if number % 10 == 0 { "no-number".to_owned() } else { format!("n{number}") };
            (number, store.count(&key, 0, None).await)
        })
    });
    for counted in counts.collect::<Vec<_>>() {
        let (number, counted) = counted.await.unwrap();
        match number % 10 {
            0 => assert!(counted.is_err(), "{number}"),
            _ => assert_eq!(counted, Ok(Count { value: 1, left: None }), "{number}"),
        }
    }
}
