//! A provider from outside: what it acks, what it answers, and how it ends.

mod world;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use coproc_acomm::unix::{receive, send};
use coproc_acomm::{MAX_MESSAGE, Response, Url};
use coproc_provider::{
    Answer, Call, CallError, Caller, Calls, Config, Provider, Request, Value, json,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use world::{World, eventually, result};

type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn echo(request: Request) -> Result<Value, Failure> {
    Ok(request.args()?)
}

async fn fail(_: Request) -> Result<Value, String> {
    Err("it is broken".into())
}

async fn panics(_: Request) -> Result<Value, String> {
    panic!("on purpose")
}

#[tokio::test]
async fn c58_a_result_an_error_and_a_panic() {
    let mut world = World::new();
    let provider = Provider::new(world.config())
        .task("Echo", echo)
        .task("Fail", fail)
        .task("Panic", panics)
        .task("PanicAtOnce", |_| -> std::future::Ready<Result<Value, String>> {
            panic!("at once")
        });
    let serving = world.serve(provider, &["Echo", "Fail", "Panic", "PanicAtOnce"]).await;
    let expected = [
        ("Echo", "", json!({"k": [1, 2]})),
        ("Fail", "it is broken", Value::Null),
        ("Panic", "internal error", Value::Null),
        ("PanicAtOnce", "internal error", Value::Null),
        ("Echo", "", json!({"k": [1, 2]})),
    ];
    for (task, error, value) in expected {
        let ack = world.ask("a1", task, json!({"k": [1, 2]})).await;
        assert_eq!(ack.encode(), Response::ack("a1").encode(), "{task}");
        let response = world.response().await;
        assert_eq!((response.id.as_str(), response.error.as_str()), ("a1", error), "{task}");
        assert_eq!(result(&response), value, "{task}");
    }
    serving.stop();
    serving.ended().await.unwrap();
}

#[tokio::test]
async fn c59_what_is_no_request_is_refused() {
    let world = World::new();
    let _serving = world.serve(Provider::new(world.config()).task("Echo", echo), &["Echo"]).await;
    let ack = async |bytes: &[u8]| {
        let mut stream = UnixStream::connect(world.socket("Echo")).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let ack = receive(&mut stream, MAX_MESSAGE).await.unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"");
        let ack = Response::decode(&ack).unwrap();
        (ack.id, ack.error)
    };
    let framed = |text: &str| coproc_acomm::frame::encode(text.as_bytes()).unwrap();
    let hook = r#""responsehook":{"Scheme":"http","Host":"h"}"#;
    for (message, id, error) in [
        ("{bad", "", "missing id"),
        ("", "", "missing id"),
        ("[]", "", "missing id"),
        (r#"{"task":"Echo"}"#, "", "missing id"),
        (r#"{"id":"a"}"#, "a", "missing task"),
        (r#"{"id":"a","task":"Echo"}"#, "a", "missing response hook"),
    ] {
        assert_eq!(ack(&framed(message)).await, (id.into(), error.into()), "{message}");
    }
    let (id, error) = ack(&framed(&format!(r#"{{"id":"a","task":"Echo",{hook}}}"#))).await;
    assert_eq!(id, "a");
    assert!(error.contains("has to be a unix URL"), "{error}");
    assert_eq!(ack(&[0xff; 4]).await, (String::new(), "message too large".into()));
}

#[tokio::test]
async fn a_look_whether_it_lives_is_no_request() {
    let mut world = World::new();
    let _serving = world.serve(Provider::new(world.config()).task("Echo", echo), &["Echo"]).await;
    let mut looks = UnixStream::connect(world.socket("Echo")).await.unwrap();
    looks.shutdown().await.unwrap();
    let mut answer = Vec::new();
    looks.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"");
    world.ask("a", "Echo", json!(1)).await;
    assert_eq!(result(&world.response().await), 1);
}

#[tokio::test]
async fn c60_sockets_are_named_by_priority() {
    let world = World::new();
    let path = world.sockets().parent().unwrap().join("p.json");
    let text = r#"{"tasks": {"CPUInfo": {"priority": 60}, "DiskInfo": {"priority": 7}}}"#;
    std::fs::write(&path, text).unwrap();
    let words = ["-n", "me", "-c", path.to_str().unwrap(), "-s"].map(Into::into);
    let config = Config::parse(words.into_iter().chain([world.sockets().into()])).unwrap();
    let provider = Provider::new(config)
        .task("CPUInfo", echo)
        .task("SystemStatus", echo)
        .task("DiskInfo", echo);
    let serving = world.serve(provider, &[]).await;
    for name in ["CPUInfo/60-me.sock", "SystemStatus/50-me.sock", "DiskInfo/7-me.sock"] {
        let path = world.sockets().join(name);
        eventually(|| path.exists()).await;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    }
    serving.stop();
    serving.ended().await.unwrap();
    for name in ["CPUInfo", "SystemStatus", "DiskInfo"] {
        assert_eq!(std::fs::read_dir(world.sockets().join(name)).unwrap().count(), 0, "{name}");
    }
}

#[tokio::test]
async fn c61_what_was_taken_is_answered_at_the_end() {
    let mut world = World::new();
    let go = Arc::new(Semaphore::new(0));
    let gate = go.clone();
    let provider = Provider::new(world.config()).task("Wait", move |_| {
        let gate = gate.clone();
        async move {
            gate.acquire().await.map_err(|error| error.to_string())?.forget();
            Ok::<_, String>(json!("done"))
        }
    });
    let serving = world.serve(provider, &["Wait"]).await;
    world.ask("a", "Wait", json!(null)).await;
    serving.stop();
    eventually(|| !world.socket("Wait").exists()).await;
    assert!(world.is_idle());
    go.add_permits(1);
    assert_eq!(result(&world.response().await), "done");
    serving.ended().await.unwrap();
}

#[tokio::test]
async fn c62_a_late_handler_is_dropped() {
    let mut world = World::new();
    let dropped = Arc::new(());
    let mut config = world.config();
    config.timeout = Some(Duration::from_millis(50));
    let witness = dropped.clone();
    let provider = Provider::new(config).task("Sleep", move |_| {
        let witness = witness.clone();
        async move {
            let () = std::future::pending().await;
            drop(witness);
            Ok::<_, String>(json!("late"))
        }
    });
    let _serving = world.serve(provider, &["Sleep"]).await;
    world.ask("a", "Sleep", json!(null)).await;
    let response = world.response().await;
    assert_eq!((response.error.as_str(), result(&response)), ("response timeout", Value::Null));
    // One is here and one in the handler; that of the future is gone.
    eventually(|| Arc::strong_count(&dropped) == 2).await;
}

/// The sample provider of the original: one task asks for two others through the coordinator.
async fn system_status(request: Request) -> Result<Value, Failure> {
    let caller = request.caller().ok_or("no coordinator")?;
    let mut calls = Calls::new(caller);
    calls.add("cpus", Call::new("CPUInfo", json!(null)))?;
    calls.add("disks", Call::new("DiskInfo", json!(null)))?;
    let mut status = json!({});
    for (name, reply) in calls.responses().await {
        status[name] = reply?.result()?;
    }
    Ok(status)
}

#[tokio::test]
async fn c63_a_task_that_asks_for_others() {
    let mut world = World::new();
    let config = Config { coordinator: Some(world.coordinator()), ..world.config() };
    let provider = Provider::new(config)
        .task("SystemStatus", system_status)
        .task("CPUInfo", |_| async { Ok::<_, String>(json!([{"processor": 0}])) })
        .task("DiskInfo", |_| async { Ok::<_, String>(json!([{"device": "sda"}])) });
    let serving = world.serve(provider, &["SystemStatus", "CPUInfo", "DiskInfo"]).await;
    world.ask("a", "SystemStatus", json!(null)).await;
    let status = result(&world.response().await);
    assert_eq!(status, json!({"cpus": [{"processor": 0}], "disks": [{"device": "sda"}]}));
    assert!(world.sockets().join("response/me.sock").exists());
    serving.stop();
    serving.ended().await.unwrap();
    assert!(!world.sockets().join("response/me.sock").exists());
}

#[tokio::test]
async fn c64_many_requests_beside_each_other() {
    let world = World::new();
    let _serving = world.serve(Provider::new(world.config()).task("Echo", echo), &["Echo"]).await;
    let responses = world.hook_folder().join("caller.sock");
    let caller = Caller::open(world.coordinator(), &responses, world::PATIENCE).unwrap();
    for members in [101, 1000] {
        let mut calls = Calls::new(&caller);
        for n in 0..members {
            calls.add(n.to_string(), Call::new("Echo", json!(n))).unwrap();
        }
        assert!(calls.add("7", Call::new("Echo", json!("again"))).is_err());
        // It takes the calls with it: nobody can ask for the responses twice.
        let all = calls.responses().await;
        assert_eq!(all.len(), members);
        for (name, reply) in all {
            assert_eq!(reply.unwrap().json(), name);
        }
    }
    let unknown = caller.call(Call::new("Nope", json!(null))).await.unwrap_err();
    assert_eq!(unknown, CallError::Refused("no providers available for task".into()));
}

#[tokio::test]
async fn c64_requests_to_nobody_all_come_back() {
    let world = World::new();
    let nobody = world.sockets().join("none.sock");
    let responses = world.hook_folder().join("caller.sock");
    let caller = Caller::open(&nobody, &responses, world::PATIENCE).unwrap();
    let mut calls = Calls::new(&caller);
    for n in 0..101 {
        calls.add(n.to_string(), Call::new("Echo", json!(n))).unwrap();
    }
    drop(caller);
    let all = calls.responses().await;
    assert_eq!(all.len(), 101);
    let there = |reply: &Result<_, CallError>| !matches!(reply, Err(CallError::NobodyThere { .. }));
    assert!(!all.values().any(there));
}

#[tokio::test]
async fn a_call_that_nobody_answers_ends_with_its_time() {
    let world = World::new();
    let coordinator = world.coordinator();
    let provider = Provider::new(world.config())
        .task("Silent", |_| std::future::pending::<Result<Value, String>>());
    let _serving = world.serve(provider, &["Silent"]).await;
    let responses = world.hook_folder().join("caller.sock");
    let caller = Caller::open(coordinator, &responses, Duration::from_millis(100)).unwrap();
    let late = caller.call(Call::new("Silent", json!(null))).await.unwrap_err();
    assert_eq!(late, CallError::TooLate);
}

#[tokio::test]
async fn c70_many_requests_to_one_provider() {
    let mut world = World::new();
    let _serving = world.serve(Provider::new(world.config()).task("Echo", echo), &["Echo"]).await;
    let ids: BTreeSet<_> = (0..200).map(|n| format!("r{n}")).collect();
    for id in &ids {
        assert_eq!(world.ask(id, "Echo", json!(id)).await.error, "");
    }
    let mut answered = BTreeSet::new();
    for _ in &ids {
        let response = world.response().await;
        assert_eq!(result(&response), response.id);
        assert!(answered.insert(response.id));
    }
    assert_eq!(answered, ids);
}

#[tokio::test]
async fn who_is_busy_says_so() {
    let mut world = World::new();
    let go = Arc::new(Semaphore::new(0));
    let gate = go.clone();
    let provider = Provider::new(world.config()).max_running(1).task("Wait", move |_| {
        let gate = gate.clone();
        async move { gate.acquire().await.map(|seat| seat.forget()) }
    });
    let _serving = world.serve(provider, &["Wait"]).await;
    assert_eq!(world.ask("a", "Wait", json!(null)).await.error, "");
    assert_eq!(world.ask("b", "Wait", json!(null)).await.error, "busy");
    go.add_permits(1);
    assert_eq!(world.response().await.id, "a");
    let mut again = world.ask("c", "Wait", json!(null)).await;
    // The seat is free a moment after the response has left.
    while again.error == "busy" {
        again = world.ask("c", "Wait", json!(null)).await;
    }
    go.add_permits(1);
    assert_eq!(world.response().await.id, "c");
}

/// Gives back, as a stream, the data that came with the request.
async fn stream_echo(request: Request) -> Result<Answer, Failure> {
    let data = request.stream().await?.ok_or("no stream")?;
    Ok(request.offer(data)?.into())
}

#[tokio::test]
async fn streams_in_and_out() {
    let mut world = World::new();
    let serving = world
        .serve(Provider::new(world.config()).task("StreamEcho", stream_echo), &["StreamEcho"])
        .await;
    let data: Vec<u8> = (0..1_000_000u32).map(|n| (n / 7) as u8).collect();
    let source = world.sockets().join("source.sock");
    let listener = tokio::net::UnixListener::bind(&source).unwrap();
    let sent = data.clone();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(&sent).await.unwrap();
    });
    let request = coproc_acomm::Request {
        id: "a".into(),
        task: "StreamEcho".into(),
        hook: world.hook(),
        stream: Some(Url::unix(source.to_str().unwrap())),
        args: None,
    };
    assert_eq!(world.send("StreamEcho", &request).await.error, "");
    let response = world.response().await;
    let url = response.stream.unwrap();
    assert!(url.path.contains("/streams/StreamEcho/me/"), "{url}");
    // A stream that is offered is read to its end, even if the provider is told to end meanwhile.
    let mut stream = coproc_provider::fetch(&url).await.unwrap();
    serving.stop();
    let mut read = Vec::new();
    stream.read_to_end(&mut read).await.unwrap();
    assert!(read == data, "{} bytes", read.len());
    serving.ended().await.unwrap();

    let none = coproc_acomm::Request { stream: None, ..request };
    let _serving = world
        .serve(Provider::new(world.config()).task("StreamEcho", stream_echo), &["StreamEcho"])
        .await;
    world.send("StreamEcho", &none).await;
    assert_eq!(world.response().await.error, "no stream");
}

#[tokio::test]
async fn one_of_its_name_is_enough() {
    let world = World::new();
    let first = world.serve(Provider::new(world.config()).task("Echo", echo), &["Echo"]).await;
    let second = Provider::new(world.config()).task("Another", echo).task("Echo", echo);
    let error = second.serve_until(std::future::pending()).await.unwrap_err().to_string();
    assert!(error.ends_with("/Echo/50-me.sock`: it is served already"), "{error}");
    assert!(!world.socket("Another").exists(), "what had begun is taken back");
    assert_eq!(world.ask("a", "Echo", json!(1)).await.error, "");
    drop(first);
}

#[tokio::test]
async fn names_that_cannot_be() {
    let world = World::new();
    for name in ["", ".hidden", "a/b", "..", "response", "streams", "coordinator", &"x".repeat(129)]
    {
        let provider = Provider::new(world.config()).task(name, echo);
        let error = provider.serve_until(async {}).await.unwrap_err().to_string();
        assert!(error.contains("cannot be a name"), "{name}: {error}");
    }
    let nothing = Provider::new(world.config()).serve_until(std::future::pending()).await;
    assert!(nothing.is_ok());
}

/// A hook that is gone concerns nobody but its requester.
#[tokio::test]
async fn a_response_that_nobody_takes() {
    let mut world = World::new();
    let _serving = world.serve(Provider::new(world.config()).task("Echo", echo), &["Echo"]).await;
    let request = coproc_acomm::Request {
        id: "lost".into(),
        task: "Echo".into(),
        hook: Some(Url::unix("/x/none.sock")),
        ..Default::default()
    };
    assert_eq!(world.send("Echo", &request).await.error, "");
    world.ask("a", "Echo", json!(1)).await;
    assert_eq!(world.response().await.id, "a");
}

#[tokio::test]
async fn responses_that_are_none() {
    let world = World::new();
    let responses = world.hook_folder().join("caller.sock");
    let _caller = Caller::open("/x/none.sock", &responses, world::PATIENCE).unwrap();
    let tell = async |text: &str| {
        let mut stream = UnixStream::connect(&responses).await.unwrap();
        send(&mut stream, text.as_bytes()).await.unwrap();
        receive(&mut stream, MAX_MESSAGE).await.ok()
    };
    assert_eq!(tell("{bad").await, None);
    assert_eq!(tell(r#"{"id":"z","error":5}"#).await, None);
    let unknown = tell(r#"{"id":"z","error":null}"#).await.unwrap();
    assert_eq!(unknown, br#"{"error":"","id":"","result":null,"stream_url":null}"#);
}

#[tokio::test]
async fn k20_a_handler_that_panics_harms_no_other() {
    let mut world = World::new();
    let go = Arc::new(Semaphore::new(0));
    let gate = go.clone();
    let provider = Provider::new(world.config())
        .task("Wait", move |_| {
            let gate = gate.clone();
            async move { gate.acquire().await.map(|seat| seat.forget()) }
        })
        // The sample of the original died of arguments that are null.
        .task("StreamEcho", |request: Request| async move {
            let args: Value = request.args().unwrap();
            Ok::<_, String>(json!(args.as_object().unwrap().len()))
        });
    let _serving = world.serve(provider, &["Wait", "StreamEcho"]).await;
    world.ask("waits", "Wait", json!(null)).await;
    for id in ["a", "b"] {
        world.ask(id, "StreamEcho", json!(null)).await;
        let response = world.response().await;
        assert_eq!((response.id.as_str(), response.error.as_str()), (id, "internal error"));
    }
    world.ask("c", "StreamEcho", json!({ "k": 1 })).await;
    assert_eq!(result(&world.response().await), 1);
    go.add_permits(1);
    assert_eq!(world.response().await.id, "waits");
}

#[tokio::test]
async fn k25_the_time_of_a_task_is_enforced_and_its_late_result_is_not_sent() {
    let mut world = World::new();
    let path = world.sockets().parent().unwrap().join("p.json");
    std::fs::write(&path, r#"{"default_timeout": 60, "tasks": {"DelayedResp": {"timeout": 1}}}"#)
        .unwrap();
    let words = ["-n", "me", "-c", path.to_str().unwrap(), "-s"].map(Into::into);
    let config = Config::parse(words.into_iter().chain([world.sockets().into()])).unwrap();
    let dropped = Arc::new(Semaphore::new(0));
    let witness = dropped.clone();
    /// Tells when it is dropped.
    struct Told(Arc<Semaphore>);
    impl Drop for Told {
        fn drop(&mut self) {
            self.0.add_permits(1);
        }
    }
    let provider = Provider::new(config).task("Echo", echo).task("DelayedResp", move |_| {
        let told = Told(witness.clone());
        async move {
            std::future::pending::<()>().await;
            drop(told);
            Ok::<_, String>(json!("late"))
        }
    });
    let _serving = world.serve(provider, &["DelayedResp", "Echo"]).await;
    world.ask("a", "DelayedResp", json!({ "delay": 5 })).await;
    let response = world.response().await;
    assert_eq!((response.error.as_str(), result(&response)), ("response timeout", Value::Null));
    // What the handler does ends with its time.
    dropped.acquire().await.unwrap().forget();
    world.ask("b", "Echo", json!(1)).await;
    assert_eq!(world.response().await.id, "b");
    assert!(world.is_idle());
}

#[tokio::test]
async fn k29_requests_beside_each_other_all_end() {
    let world = World::new();
    let provider = Provider::new(world.config())
        .task("Echo", echo)
        .task("Silent", |_| std::future::pending::<Result<Value, String>>());
    let _serving = world.serve(provider, &["Echo", "Silent"]).await;
    let responses = world.hook_folder().join("caller.sock");
    let limit = Duration::from_millis(500);
    let caller = Caller::open(world.coordinator(), &responses, limit).unwrap();
    // None at all, two of one name, and some that nobody answers or nobody knows.
    assert!(Calls::new(&caller).responses().await.is_empty());
    let mut calls = Calls::new(&caller);
    calls.add("same", Call::new("Echo", json!("first"))).unwrap();
    calls.add("same", Call::new("Echo", json!("second"))).unwrap_err();
    calls.add("silent", Call::new("Silent", json!(null))).unwrap();
    calls.add("unknown", Call::new("Nope", json!(null))).unwrap();
    let all = calls.responses().await;
    assert_eq!(all.len(), 3);
    assert_eq!(all["same"].as_ref().unwrap().json(), "\"first\"");
    assert_eq!(all["silent"].as_ref().unwrap_err(), &CallError::TooLate);
    assert!(matches!(all["unknown"], Err(CallError::Refused(_))));
    // To drop them is to give them up: nobody waits for their responses any more.
    let mut calls = Calls::new(&caller);
    calls.add("given up", Call::new("Silent", json!(null))).unwrap();
    drop(calls);
    assert_eq!(caller.call(Call::new("Echo", json!(2))).await.unwrap().json(), "2");
}
