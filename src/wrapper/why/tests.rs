//! The reasons of the whole: who holds what, and who waits for whom.

use super::*;
use coproc_core::event::Change;
use coproc_core::exit::ExitStatus;
use coproc_core::probe::Note;

fn event(text: &str) -> EventName {
    text.parse().unwrap()
}

fn member(name: &str, state: &'static str, reason: Reason) -> Member {
    Member { place: usize::MAX, name: name.into(), state, reason, holds: Vec::new() }
}

fn runs() -> Reason {
    Reason::Runs { running: Duration::from_secs(2), by: None }
}

fn main(state: &'static str) -> Main {
    Main {
        status: MainStatus {
            state,
            ready: state == "running",
            uptime: Some(Duration::from_secs(3)),
            ..MainStatus::default()
        },
        exec_event: None,
        within: None,
        is_nginx: false,
        stop: None,
    }
}

fn world(stage: Stage, main_state: &'static str, mut members: Vec<Member>) -> World {
    for (place, member) in members.iter_mut().enumerate() {
        member.place = place;
    }
    World {
        stage,
        cause: None,
        main: Some(main(main_state)),
        members,
        ongoing: Ongoing::default(),
        now: Instant::now(),
    }
}

fn walk(world: &World, name: &str, order: Order, places: &[usize], to_start: &[usize]) -> Ongoing {
    let since = world.now - Duration::from_millis(4200);
    let (places, to_start) = (places.to_vec(), to_start.to_vec());
    let walk = OngoingWalk { event: event(name), since, order, places, to_start };
    Ongoing { walks: vec![walk], behind: vec![event("reload")], ..Ongoing::default() }
}

/// Name, whether it is as wanted, and the sentence of each.
fn told(world: &World) -> Vec<(String, bool, String)> {
    let answer = world.answer(None).unwrap();
    let processes = answer["processes"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let told = |one: &Value| (text(&one["name"]), one["as_wanted"] == true, text(&one["sentence"]));
    processes.iter().map(told).collect()
}

#[track_caller]
fn says(world: &World, name: &str, as_wanted: bool, sentence: &str) {
    let (_, wanted, says) = told(world).into_iter().find(|(of, ..)| of == name).unwrap();
    assert_eq!(says, sentence);
    assert_eq!(wanted, as_wanted, "{sentence}");
}

#[test]
fn the_boot_is_held_by_somebody_in_the_foreground() {
    let mut migrate = member("migrate", "running", runs());
    migrate.holds = vec![event("pre-start")];
    let agent = member("agent", "waiting", Reason::Waits(event("pre-start")));
    let mut world = world(Stage::Booting, "waiting", vec![migrate, agent]);
    world.ongoing = walk(&world, "pre-start", Order::Start, &[0], &[1]);
    let held = "pre-start is held by migrate, for 4.2 s now";
    says(&world, "main", false, &format!("waits for the end of pre-start: {held}"));
    says(&world, "migrate", true, "runs for 2.0 s; pre-start waits for it to end");
    says(&world, "agent", false, &format!("waits for pre-start: {held}"));
    let answer = world.answer(Some("agent")).unwrap();
    assert_eq!(answer["processes"].as_array().unwrap().len(), 1);
    assert_eq!(answer["processes"][0]["behind"], held);
    let walk = &answer["events"][0];
    assert_eq!((&walk["by"], &walk["held_s"]), (&json!(["migrate"]), &json!(4.2)));
    assert_eq!(answer["behind"], json!(["reload"]));
}

#[test]
fn the_boot_renders_templates_when_nobody_holds_it() {
    let world = world(Stage::Booting, "waiting", vec![]);
    says(&world, "main", false, "waits for the end of pre-start: the templates are rendered");
}

#[test]
fn an_event_that_another_coprocess_is_to_make_tells_of_that_one() {
    let heard =
        Note { what: "tcp a:1".into(), wrong: Some("refused".into()), tries: 7, next: None };
    let mut world = world(Stage::Awaiting, "waiting", vec![]);
    let heard = Some(Heard::new(heard, world.now));
    let running = Duration::from_secs(4);
    world.members = vec![
        member("migrate", "starting", Reason::NotReady { running, heard, left: None }),
        member("agent", "waiting", Reason::Waits(event("coprocess.migrate.ready"))),
    ];
    let sentence = "waits for coprocess.migrate.ready: migrate is not ready after 4.0 s (tcp a:1: \
                    refused, try 7)";
    says(&world, "agent", false, sentence);
    world.main.as_mut().unwrap().exec_event = Some(event("coprocess.migrate.ready"));
    says(&world, "main", false, sentence);
}

#[test]
fn one_that_waits_for_what_need_not_come_is_as_wanted() {
    let name = "other".parse().unwrap();
    let members = vec![
        member("other", "running", runs()),
        member("a", "waiting", Reason::Waits(event("custom.backup"))),
        member("b", "waiting", Reason::Waits(event("reload"))),
        member("c", "waiting", Reason::Waits(EventName::Coprocess(name, Change::Failed))),
        member("d", "waiting", Reason::Waits(event("start"))),
    ];
    let world = world(Stage::Running, "running", members);
    assert!(told(&world).iter().all(|(_, as_wanted, _)| *as_wanted), "{:?}", told(&world));
    says(&world, "a", true, "waits for custom.backup");
}

#[test]
fn the_start_waits_for_the_main_process() {
    let members = vec![member("a", "waiting", Reason::Waits(event("start")))];
    let mut world = world(Stage::Running, "starting", members);
    let main = world.main.as_mut().unwrap();
    main.within = Some(Duration::from_secs(10));
    main.status.heard = Some(Note {
        what: "http a/".into(),
        wrong: Some("503".into()),
        tries: 2,
        next: Some(world.now + Duration::from_millis(500)),
    });
    let main = "is not ready after 3.0 s (http a/: 503, try 2, next in 0.5 s); all is stopped \
                unless it is within 7.0 s";
    says(&world, "main", false, main);
    says(&world, "a", false, &format!("waits for start: the main process {main}"));
}

#[test]
fn an_nginx_without_workers_is_told_of() {
    let mut world = world(Stage::Running, "starting", vec![]);
    world.main.as_mut().unwrap().is_nginx = true;
    says(&world, "main", false, "is not ready after 3.0 s (its log has told of no worker yet)");
}

#[test]
fn the_end_says_why_and_what_follows() {
    let mut world = world(Stage::StoppingMain, "stopping", vec![]);
    world.cause = Some(Cause::GaveUp("agent".into()));
    world.main.as_mut().unwrap().stop = Some(MainStop {
        signal: Signal::QUIT,
        asked: world.now,
        kill_at: world.now + Duration::from_secs(25),
    });
    says(&world, "main", false, "was sent QUIT, KILL follows in 25.0 s: agent has failed for good");
    world.main = Some(main("running"));
    let says_so = "is stopped once the gateway has finished: agent has failed for good";
    says(&world, "main", false, says_so);
    world.stage = Stage::Exiting;
    world.main = Some(main("stopped"));
    world.cause = Some(Cause::MainEnded(ExitStatus::Signal(Signal::KILL)));
    says(&world, "main", false, "is gone: the main process was ended by signal KILL");
    let leaving = &world.answer(None).unwrap()["leaving"];
    assert_eq!((&leaving["cause"], &leaving["who"]), (&json!("main-ended"), &json!("main")));
    world.main = Some(main("waiting"));
    world.cause = Some(Cause::Signal(Signal::TERM));
    says(&world, "main", false, "is not started any more: the wrapper was sent TERM");
}

#[test]
fn a_name_that_is_none_is_refused() {
    let world = world(Stage::Running, "running", vec![]);
    assert_eq!(world.answer(Some("nobody")).unwrap_err().status, 404);
}
