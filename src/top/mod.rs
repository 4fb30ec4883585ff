//! `coproc top`: a running wrapper on the whole screen. What it shows and what keys do is decided by a
//! pure model; here are the terminal and the tasks that tell the model what happens.

mod feed;
mod model;
mod view;

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::Duration;

use coproc_control::client::{Call, Target, send};
use coproc_core::exit::{FAILURE, USAGE};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tokio::sync::mpsc;

use self::feed::Feed;
use self::model::{Effect, Input, Key, Model, Order};
use crate::cli::{Client, Top};
use crate::clients::{exit_code, target};
use crate::config::Sources;
use crate::console::complain;
use crate::event_loop;

/// How often a status is asked for at most.
const OFTENEST: Duration = Duration::from_millis(100);
/// What is on its way to the screen at most.
const WAITING: usize = 4096;

/// What the terminal or the wrapper tells.
enum Told {
    Input(Input),
    /// The terminal has another size.
    Resized,
}

/// Shows the wrapper until the user leaves.
pub(crate) fn top(top: &Top, sources: impl Fn(&Client) -> Sources) -> ExitCode {
    let failed = |code: u8, why: &str| {
        complain(&format!("error: {why}\n"));
        ExitCode::from(code)
    };
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return failed(USAGE, "`top` needs a terminal; `status` and `events` do not");
    }
    let target = match target(&top.client, sources) {
        Ok(target) => target,
        Err(complaint) => {
            complain(&complaint);
            return ExitCode::from(USAGE);
        }
    };
    let system = match event_loop::start() {
        Ok(system) => system,
        Err(why) => return failed(FAILURE, &why),
    };
    // Who names a wrong place is told so on the usual screen.
    let first = system.block_on(send(&target, Call::get(&["status"], &[]), |_| true));
    if let Err(error) = first {
        complain(&format!("error: {error}\n"));
        return ExitCode::from(exit_code(&error));
    }
    // Restores the terminal at a panic as well.
    let shown = ratatui::try_init().and_then(|mut terminal| {
        system.block_on(show(&mut terminal, &target, top.interval.pause().max(OFTENEST)))
    });
    ratatui::restore();
    match shown {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(FAILURE, &format!("the terminal cannot be used: {error}")),
    }
}

async fn show(
    terminal: &mut DefaultTerminal,
    target: &Target,
    interval: Duration,
) -> io::Result<()> {
    let (tell, mut told) = mpsc::channel(WAITING);
    listen_to_terminal(&tell);
    listen_to_signals(&tell)?;
    let feed = Feed::new(target.clone(), tell.clone());
    feed.start(interval);
    let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let mut model = Model::new(target.shown());
    loop {
        let mut page = 0;
        terminal.draw(|frame| page = view::draw(frame, &model, colour))?;
        model.page = page.max(1);
        let Some(first) = told.recv().await else { return Ok(()) };
        let mut next = Some(first);
        // All that has come meanwhile is one picture.
        while let Some(one) = next {
            if let Told::Input(input) = one {
                match model.step(input) {
                    Some(Effect::Leave) => return Ok(()),
                    Some(Effect::Give(order)) => give(order, target.clone(), tell.clone()),
                    None => {}
                }
            }
            next = told.try_recv().ok();
        }
    }
}

/// Has an order carried out, and tells what came of it.
fn give(order: Order, target: Target, tell: mpsc::Sender<Told>) {
    actix_rt::spawn(async move {
        let call = Call::post(&["coprocesses", &order.name, order.action], None).waiting();
        let answer = send(&target, call, |_| true).await.map_err(|error| error.to_string());
        // Who has left does not want to know.
        let _ = tell.send(Told::Input(Input::Answered(order, answer))).await;
    });
}

/// A thread that waits for keys; it ends with the program.
fn listen_to_terminal(tell: &mpsc::Sender<Told>) {
    let tell = tell.clone();
    std::thread::spawn(move || {
        loop {
            let next = match event::read() {
                Ok(Event::Key(key)) => key_of(key).map(|key| Told::Input(Input::Key(key))),
                Ok(Event::Resize(..)) => Some(Told::Resized),
                Ok(_) => None,
                // The terminal is gone.
                Err(_) => Some(Told::Input(Input::Key(Key::Interrupt))),
            };
            let gone = matches!(next, Some(Told::Input(Input::Key(Key::Interrupt))));
            if next.is_some_and(|next| tell.blocking_send(next).is_err()) || gone {
                return;
            }
        }
    });
}

/// A thread that waits for signals that ask for the end, so that the terminal is restored.
fn listen_to_signals(tell: &mpsc::Sender<Told>) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGHUP, SIGINT])?;
    let tell = tell.clone();
    std::thread::spawn(move || {
        for _ in signals.forever() {
            let _ = tell.blocking_send(Told::Input(Input::Key(Key::Interrupt)));
        }
    });
    Ok(())
}

fn key_of(key: KeyEvent) -> Option<Key> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    Some(match key.code {
        KeyCode::Char('c') if control => Key::Interrupt,
        KeyCode::Char(_) if control => return None,
        KeyCode::Char(letter) => Key::Char(letter),
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Escape,
        KeyCode::Backspace => Key::Backspace,
        _ => return None,
    })
}
