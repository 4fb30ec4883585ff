//! One Lua state: its libraries and bounds, the hooks' files that ran in it, and calls.

use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mlua::{Error, Function, Lua, LuaOptions, LuaString, StdLib, Table, Value};

use super::budget::{Budget, Over};
use super::files::Files;
use super::{LuaConfig, blob, json, message};
use crate::driver::saying::say;
use crate::driver::{Attendant, Failure};
use crate::wire::{Event, Object};

const PRELUDE: &str = include_str!("prelude.lua");

/// How long each of the hooks' files may run when a state is made.
const LOAD: Duration = Duration::from_secs(5);

/// A state. It belongs to one thread.
#[derive(Debug)]
pub(super) struct State {
    lua: Lua,
    dispatch: Function,
    handle: Function,
    /// `None` where instructions are not counted.
    budget: Option<Rc<Budget>>,
    config: Arc<LuaConfig>,
}

/// What came of running the hooks' files.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    /// What is wrong with some.
    pub(super) problems: Vec<String>,
    /// The name of one that went beyond its bounds. It has the last problem, and those behind it did not run.
    pub(super) endless: Option<String>,
}

/// Why a call failed.
pub(super) struct Trouble {
    pub(super) failure: Failure,
    /// The state may be used again.
    pub(super) keeps_state: bool,
}

impl State {
    /// Makes a state and runs the hooks' files in it. Of each that fails there is a problem; the others are
    /// there all the same, unless one went beyond what a call may do: nothing runs in that state any more.
    ///
    /// # Errors
    /// When the memory is too little for any state.
    pub(super) fn new(
        config: &Arc<LuaConfig>,
        files: &Arc<Files>,
        attendant: &Arc<OnceLock<Attendant>>,
    ) -> mlua::Result<(Self, Loaded)> {
        let libraries = StdLib::TABLE
            | StdLib::STRING
            | StdLib::MATH
            | StdLib::OS
            | StdLib::BIT
            | StdLib::JIT
            | StdLib::PACKAGE;
        let lua = Lua::new_with(libraries, LuaOptions::new())?;
        let globals = lua.globals();
        let jit: Table = globals.get("jit")?;
        if config.instructions > 0 {
            // What is compiled does not count.
            jit.get::<Function>("off")?.call::<()>(())?;
            jit.get::<Function>("flush")?.call::<()>(())?;
        }
        let require: Function = globals.get("require")?;
        let buffer: Table = require.call("string.buffer")?;
        let (decode, encode): (Function, Function) = (buffer.get("decode")?, buffer.get("encode")?);
        let funcinfo: Function = require.call::<Table>("jit.util")?.get("funcinfo")?;
        let natives = natives(&lua, files.clone(), attendant.clone())?;
        let prelude = lua.load(PRELUDE).set_name("=coproc").into_function()?;
        let (dispatch, handle) = prelude.call((natives, decode, encode, funcinfo))?;
        lua.set_memory_limit(config.memory)?;
        let bounded = config.instructions > 0;
        let budget = bounded.then(|| Budget::set(&lua, config.instructions)).transpose()?;
        let config = config.clone();
        let mut state = Self { lua, dispatch, handle, budget, config };
        let loaded = state.run(files);
        Ok((state, loaded))
    }

    /// Runs the files that no other file has asked for yet.
    fn run(&mut self, files: &Files) -> Loaded {
        let mut loaded = Loaded::default();
        let require = self.lua.globals().get::<Function>("require");
        for file in files.iter() {
            self.begin(Instant::now() + LOAD);
            let ran = require.clone().and_then(|require| require.call::<()>(file.name.as_str()));
            if let Err(error) = ran {
                let why = match self.failure(&error).failure {
                    Failure::Refused(why) => why,
                    other => other.to_string(),
                };
                let path = &file.path;
                let has_place = why.strip_prefix(path).is_some_and(|rest| rest.starts_with(':'));
                loaded.problems.push(if has_place { why } else { format!("{path}: {why}") });
                if self.budget.as_ref().is_some_and(|budget| budget.over().is_some()) {
                    loaded.endless = Some(file.name.clone());
                    break;
                }
            }
        }
        loaded
    }

    /// Calls a hook. The object is what the hook made of it, or as it was where there is no such hook; the
    /// answer is whether there is one.
    pub(super) fn call(&self, object: &mut Object, deadline: Instant) -> Result<bool, Trouble> {
        self.begin(deadline);
        let sent = message::put(object);
        let returned = self
            .lua
            .create_string(&sent)
            .and_then(|sent| self.dispatch.call::<Option<LuaString>>(sent))
            .map_err(|error| self.failure(&error))?;
        let Some(returned) = returned else { return Ok(false) };
        let malformed = |why| Trouble { failure: Failure::Malformed(why), keeps_state: true };
        message::apply(object, &returned.as_bytes()).map_err(malformed)?;
        Ok(true)
    }

    /// Calls the handler of an event; the answer is whether there is one.
    pub(super) fn handle(&self, event: &Event, deadline: Instant) -> Result<bool, Trouble> {
        self.begin(deadline);
        self.handle.call(event.payload.as_str()).map_err(|error| self.failure(&error))
    }

    fn begin(&self, deadline: Instant) {
        if let Some(budget) = &self.budget {
            budget.begin(deadline);
        }
    }

    fn failure(&self, error: &Error) -> Trouble {
        let over = self.budget.as_ref().and_then(|budget| budget.over());
        let refused = |why: String| Failure::Refused(why);
        let (failure, keeps_state) = match (over, error) {
            (Some(Over::Time), _) => (Failure::Late, false),
            (Some(Over::Instructions), _) => {
                let most = self.config.instructions;
                (refused(format!("it ran for more than {most} instructions")), false)
            }
            (None, error) => match is_memory(error) {
                true => {
                    let most = self.config.memory;
                    (refused(format!("it needed more than {most} bytes of memory")), false)
                }
                false => (refused(said(error)), true),
            },
        };
        Trouble { failure, keeps_state }
    }
}

fn is_memory(error: &Error) -> bool {
    match error {
        Error::MemoryError(_) => true,
        Error::CallbackError { cause, .. } => is_memory(cause),
        // Once it was caught and raised again.
        Error::RuntimeError(message) => message.starts_with("not enough memory"),
        _ => false,
    }
}

/// An error in one line, with its place and without the way there.
fn said(error: &Error) -> String {
    match error {
        Error::CallbackError { cause, .. } => said(cause),
        Error::RuntimeError(message) | Error::SyntaxError { message, .. } => {
            let message = message.split("\nstack traceback:").next().unwrap_or_default();
            message.lines().map(str::trim).collect::<Vec<_>>().join(" ")
        }
        other => other.to_string(),
    }
}

/// What Lua calls of Rust.
fn natives(
    lua: &Lua,
    files: Arc<Files>,
    attendant: Arc<OnceLock<Attendant>>,
) -> mlua::Result<Table> {
    let natives = lua.create_table()?;
    natives.set("null", Value::NULL)?;
    natives.set(
        "from_json",
        lua.create_function(|lua, text: LuaString| {
            let bytes = json::from_json(&text.as_bytes()).map_err(Error::runtime)?;
            lua.create_string(&bytes)
        })?,
    )?;
    natives.set(
        "to_json",
        lua.create_function(|_, bytes: LuaString| {
            let value = blob::read(&bytes.as_bytes()).unwrap_or(blob::Value::Nil);
            json::to_json(value).map_err(Error::runtime)
        })?,
    )?;
    natives.set(
        "encode_base64",
        lua.create_function(|_, bytes: LuaString| Ok(STANDARD.encode(&*bytes.as_bytes())))?,
    )?;
    natives.set(
        "decode_base64",
        lua.create_function(|lua, text: LuaString| {
            let bytes = STANDARD.decode(&*text.as_bytes());
            lua.create_string(bytes.map_err(|_| Error::runtime("this is not base64"))?)
        })?,
    )?;
    natives.set(
        "chunk",
        lua.create_function(move |lua, name: String| {
            let Some(file) = files.get(&name) else { return Ok(None) };
            let chunk = lua.load(&file.text[..]).set_name(format!("@{}", file.path));
            chunk.set_mode(mlua::chunk::ChunkMode::Text).into_function().map(Some)
        })?,
    )?;
    natives.set(
        "log",
        lua.create_function(|_, (line, level): (LuaString, Option<LuaString>)| {
            let level = level.map(|level| level.to_string_lossy());
            say!("lua", level.as_deref().unwrap_or_default(), line.to_string_lossy());
            Ok(())
        })?,
    )?;
    let to = attendant.clone();
    natives.set(
        "store_data",
        lua.create_function(move |_, (name, value, life): (String, LuaString, Option<f64>)| {
            if let Some(attendant) = to.get() {
                attendant.keep_now(&name, value.as_bytes().to_vec(), life.unwrap_or(0.0) as i64);
            }
            Ok(())
        })?,
    )?;
    let from = attendant.clone();
    natives.set(
        "get_data",
        lua.create_function(move |lua, name: String| {
            let data = from.get().map(|attendant| attendant.data_now(&name));
            lua.create_string(data.unwrap_or_default())
        })?,
    )?;
    natives.set(
        "trigger_event",
        lua.create_function(move |_, (name, message): (String, Option<String>)| {
            if let Some(attendant) = attendant.get() {
                attendant.voice.pass_on(&name, message.as_deref().unwrap_or_default());
            }
            Ok(())
        })?,
    )?;
    Ok(natives)
}
