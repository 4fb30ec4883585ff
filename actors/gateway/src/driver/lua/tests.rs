//! Hooks in Lua without a gateway: signatures, what counts of what they return, and what ends them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tempfile::TempDir;

use super::driver::STATES;
use super::state::State;
use super::{Lua, LuaConfig};
use crate::driver::{Call, Driver, Failure, STACK};
use crate::wire::{
    Event, HookType, MiniRequestObject, Object, ResponseObject, ReturnOverrides, SessionState,
};

struct Stage {
    lua: Lua,
    folder: TempDir,
}

impl Stage {
    fn new(file: &str) -> Self {
        Self::with(file, LuaConfig::default())
    }

    fn with(file: &str, config: LuaConfig) -> Self {
        let folder = tempfile::Builder::new().prefix("coproc-test-").tempdir().unwrap();
        std::fs::write(folder.path().join("hooks.lua"), file).unwrap();
        let lua = Lua::open(LuaConfig { path: Some(folder.path().to_owned()), ..config });
        Self { lua, folder }
    }

    fn call(&self, object: Object) -> Result<Object, Failure> {
        self.before(object, Duration::from_secs(60))
    }

    fn before(&self, object: Object, time: Duration) -> Result<Object, Failure> {
        let call = Call { object: (&object).into(), deadline: Instant::now() + time, trace: &[] };
        self.lua.dispatch(call).now_or_never().unwrap()
    }

    /// The same on a thread that has a stack as those of the gateway have.
    fn deep(&self, object: Object) -> Result<Object, Failure> {
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(STACK);
            thread.spawn_scoped(scope, || self.call(object)).unwrap().join().unwrap()
        })
    }
}

fn object(kind: HookType, name: &str) -> Object {
    let text = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    Object {
        hook_type: kind.into(),
        hook_name: name.to_owned(),
        request: Some(MiniRequestObject {
            headers: text(&[("Host", "h"), ("X-One", "1")]),
            body: "text".into(),
            raw_body: "text".into(),
            url: "/a?b=c".into(),
            method: "GET".into(),
            return_overrides: Some(ReturnOverrides { response_code: -1, ..Default::default() }),
            ..Default::default()
        }),
        spec: text(&[("APIID", "a1")]),
        ..Default::default()
    }
}

fn pre(name: &str) -> Object {
    object(HookType::Pre, name)
}

fn why(failure: Result<Object, Failure>) -> String {
    match failure {
        Err(Failure::Refused(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_a_hook_sets_is_set_and_the_rest_stays() {
    let stage = Stage::new(
        "function Change(request, session, spec)
           assert(request.headers['X-One'] == '1' and session == nil and spec.APIID == 'a1')
           assert(object.request == request and object.hook_type == 1)
           tyk.req.set_header('A', tyk.req.get_headers()['Host'])
           tyk.req.clear_header('B')
           request.add_params.p = 7
           request.delete_params = { 'q', 'r' }
           request.return_overrides.response_code = 201
           request.return_overrides.headers = { L = '/' }
           return request, session
         end
         function Same() end",
    );
    let sent = pre("Change");
    let back = stage.call(sent.clone()).unwrap().request.unwrap();
    assert_eq!(back.set_headers, BTreeMap::from([("A".into(), "h".into())]));
    assert_eq!(back.delete_headers, ["B"]);
    assert_eq!(back.add_params, BTreeMap::from([("p".into(), "7".into())]));
    assert_eq!(back.delete_params, ["q", "r"]);
    let overrides = back.return_overrides.unwrap();
    assert_eq!((overrides.response_code, overrides.headers["L"].as_str()), (201, "/"));
    assert_eq!((back.url, back.raw_body), ("/a?b=c".into(), "text".into()));
    assert_eq!(stage.call(pre("Same")).unwrap(), pre("Same"));
    assert_eq!(stage.call(pre("Missing")).unwrap(), pre("Missing"));
}

#[test]
fn bodies_are_base64_in_the_table_and_bytes_in_the_functions() {
    let stage = Stage::new(
        "function Raw(request) request.raw_body = 'AP8=' return request end
         function Bytes(request)
           tyk.req.set_body(tyk.req.get_body() .. '\\0\\255')
           request.body = 'other'
         end
         function Broken(request) request.raw_body = '!' end",
    );
    let body = |name| stage.call(pre(name)).map(|object| object.request.unwrap());
    assert_eq!(&body("Raw").unwrap().raw_body[..], b"\0\xff");
    let bytes = body("Bytes").unwrap();
    assert_eq!((&bytes.raw_body[..], &bytes.body[..]), (&b"text\0\xff"[..], "other"));
    let broken = body("Broken").unwrap_err();
    assert_eq!(broken, Failure::Malformed("request.raw_body is not base64".into()));
}

#[test]
fn an_authentication_has_the_metadata_whatever_its_form() {
    let stage = Stage::new(
        "function Four(request, session, metadata, spec)
           session.rate, session.tags = 100, { 'a', 'b' }
           session.access_rights = { a1 = { api_id = 'a1', allowed_urls = { { url = '/', methods = { 'GET' } } } } }
           metadata.token = spec.APIID
           return request, session, metadata
         end
         function Three(request, session, spec)
           session.metadata.token = spec.APIID
           return request, session
         end
         function Own(request)
           return request, { metadata = { token = 'own' } }
         end
         function Nothing(request, session, metadata) return request, session, metadata end
         function Without(request, session, metadata, spec)
           object.session, object.metadata = nil, { token = 'x' }
         end",
    );
    let auth = |name| stage.call(object(HookType::CustomKeyCheck, name)).unwrap();
    let four = auth("Four");
    let session = four.session.unwrap();
    assert_eq!((session.rate, session.tags.len()), (100.0, 2));
    assert_eq!(session.access_rights["a1"].allowed_urls[0].methods, ["GET"]);
    assert_eq!(session.metadata["token"], "a1");
    assert_eq!(auth("Three").session.unwrap().metadata["token"], "a1");
    assert_eq!(auth("Own").session.unwrap().metadata["token"], "own");
    assert_eq!(auth("Nothing").session, None);
    let without = auth("Without");
    assert_eq!((without.session, without.metadata["token"].as_str()), (None, "x"));
}

#[test]
fn a_response_is_the_hooks() {
    let stage = Stage::new(
        "function Five(request, response, session, metadata, spec)
           assert(response.body == 'old' and session.alias == 'al' and metadata.m == '1')
           response.status_code = 203
           response.headers['X-Gone'] = nil
           response.multivalue_headers[1].values[2] = 'c'
           tyk.resp.set_body('new')
           return response
         end",
    );
    let mut sent = object(HookType::Response, "Five");
    sent.session = Some(Box::new(SessionState { alias: "al".into(), ..Default::default() }));
    sent.metadata.insert("m".into(), "1".into());
    let header = |key: &str, values: &[&str]| crate::wire::Header {
        key: key.to_owned(),
        values: values.iter().map(|value| (*value).to_owned()).collect(),
    };
    sent.response = Some(ResponseObject {
        status_code: 200,
        raw_body: "old".into(),
        body: "old".into(),
        headers: [("X-Gone".to_owned(), "1".to_owned())].into(),
        multivalue_headers: vec![header("A", &["a", "b"])],
    });
    let back = stage.call(sent).unwrap().response.unwrap();
    assert_eq!((back.status_code, &back.raw_body[..]), (203, &b"new"[..]));
    assert!(back.headers.is_empty());
    assert_eq!(back.multivalue_headers, [header("A", &["a", "c"])]);
}

#[test]
fn an_error_is_one_line_with_its_place() {
    let stage = Stage::new(
        "local function fail() error('as\\nasked') end
         function Fails() fail() end
         function Odd() return 7 end
         function Gone() object.request = nil end
         function Object() error({}) end
         function Long(request) request.set_headers = { A = {} } end
         function Nan(request) request.set_headers = { A = print } end",
    );
    let said = |name| why(stage.call(pre(name)));
    assert_eq!(said("Fails"), "Hook 'Fails' returned an error: hooks.lua:1: as asked");
    assert_eq!(said("Odd"), "Hook 'Odd' returned an error: it returned number for its request");
    assert_eq!(said("Gone"), "Hook 'Gone' returned an error: it left no request");
    assert!(said("Nan").contains("function"), "{}", said("Nan"));
    assert!(!said("Object").is_empty());
    let long = stage.call(pre("Long")).unwrap_err();
    assert_eq!(
        long,
        Failure::Malformed("request.set_headers.A is a table and not a string".into())
    );
    // Their state is used on.
    assert_eq!(STATES.with_borrow(Vec::len), 1);
}

#[test]
fn nothing_runs_for_ever() {
    let stage = Stage::with(
        "function Loop() while true do end end
         function Caught() while true do pcall(function() while true do end end) end end
         function Handled() xpcall(function() while true do end end, function() while true do end end) end
         function Thread() coroutine.wrap(function() while true do end end)() end
         function Threads()
           while true do coroutine.resume(coroutine.create(function() while true do end end)) end
         end
         function Sorted() table.sort({ 3, 2, 1 }, function() while true do end end) end
         function Replaced() string.gsub('abc', '.', function() while true do end end) end
         function Meta() return setmetatable({}, { __index = function() while true do end end }).x end
         function Fine() tyk.req.set_header('A', 'b') end",
        LuaConfig { instructions: 100_000, ..LuaConfig::default() },
    );
    let names = ["Loop", "Caught", "Handled", "Thread", "Threads", "Sorted", "Replaced", "Meta"];
    for name in names {
        let said = why(stage.call(pre(name)));
        assert!(said.ends_with("it ran for more than 100000 instructions"), "{name}: {said}");
        assert!(stage.call(pre("Fine")).is_ok());
    }
}

#[test]
fn no_depth_of_calls_ends_the_process() {
    let stage = Stage::with(
        "function Plain() local function f() return 1 + f() end return f() end
         function Caught() local function f() local fine, why = pcall(f) error(why) end return f() end
         function Replaced() local function f() return (('x'):gsub('x', f)) end return f() end
         function Sorted() local function f() table.sort({ 3, 2, 1 }, f) end return f() end
         function Text()
           local t = setmetatable({}, {})
           getmetatable(t).__tostring = function() return tostring(t) end
           return tostring(t)
         end
         function Index()
           local t = setmetatable({}, {})
           getmetatable(t).__index = function(_, key) return t[key] end
           return t.x
         end
         function Concat()
           local t = setmetatable({}, {})
           getmetatable(t).__concat = function() return t .. 'x' end
           return t .. 'x'
         end
         function Compare()
           local meta = {}
           local a, b = setmetatable({}, meta), setmetatable({}, meta)
           meta.__lt = function() return a < b end
           return a < b
         end
         function Loads() local function f() load(f) end return f() end
         function Each() local function f() for _ in ('x'):gmatch('x') do f() end end return f() end
         function Threads()
           local function f() return coroutine.wrap(f)() end
           return f()
         end
         function Resumed()
           local function f() assert(coroutine.resume(coroutine.create(f))) end
           return f()
         end
         function Fine() tyk.req.set_header('A', 'b') end",
        LuaConfig::default(),
    );
    let names = [
        "Plain", "Caught", "Replaced", "Sorted", "Text", "Index", "Concat", "Compare", "Loads",
        "Each", "Threads", "Resumed",
    ];
    for name in names {
        let said = match stage.deep(pre(name)) {
            // What is loaded by parts keeps its errors for itself.
            Ok(_) if name == "Loads" => continue,
            ended => why(ended),
        };
        let known = ["stack overflow", "too deep", "hooks.lua:", "instructions"];
        assert!(known.iter().any(|words| said.contains(words)), "{name}: {said}");
        assert!(stage.call(pre("Fine")).is_ok(), "{name}");
    }
}

#[test]
fn a_hook_that_is_late_is_ended() {
    let stage = Stage::with(
        "function Loop() while true do end end function Fine() end",
        LuaConfig { instructions: u32::MAX, ..LuaConfig::default() },
    );
    let late = stage.before(pre("Loop"), Duration::from_millis(30));
    assert_eq!(late, Err(Failure::Late));
    assert!(stage.call(pre("Fine")).is_ok());
}

#[test]
fn nothing_takes_all_the_memory() {
    let stage = Stage::with(
        "function Table() local t = {} while true do t[#t + 1] = ('x'):rep(1000) .. #t end end
         function Text() return ('x'):rep(1e9) end
         function Kept() kept = kept or {} while true do kept[#kept + 1] = {} end end
         function Fine() tyk.req.set_header('A', 'b') end",
        LuaConfig { memory: 4 << 20, instructions: u32::MAX, ..LuaConfig::default() },
    );
    for name in ["Table", "Text", "Kept", "Kept"] {
        let said = why(stage.call(pre(name)));
        assert!(said.ends_with("it needed more than 4194304 bytes of memory"), "{name}: {said}");
        assert!(stage.call(pre("Fine")).is_ok());
    }
    let mut large = pre("Fine");
    large.request.as_mut().unwrap().raw_body = vec![0; 8 << 20].into();
    assert!(why(stage.call(large)).ends_with("bytes of memory"));
    assert!(stage.call(pre("Fine")).is_ok());
}

#[test]
fn hooks_reach_neither_processes_nor_files() {
    let stage = Stage::new(
        "function Reach(request)
           local found = {}
           for _, name in ipairs({ 'io', 'debug', 'ffi', 'jit', 'dofile', 'loadfile', 'newproxy', 'module' }) do
             if _G[name] ~= nil or pcall(require, name) then found[#found + 1] = name end
           end
           for _, name in ipairs({ 'execute', 'exit', 'remove', 'rename', 'tmpname' }) do
             if os[name] ~= nil then found[#found + 1] = name end
           end
           if string.dump or loadstring('\\27LJ') then found[#found + 1] = 'code' end
           assert(loadstring('return 7')() == 7 and require('string') == string)
           request.set_headers = { Found = table.concat(found, ' ') }
         end",
    );
    let back = stage.call(pre("Reach")).unwrap().request.unwrap();
    assert_eq!(back.set_headers["Found"], "");
}

#[test]
fn files_find_each_other_and_a_bad_one_takes_none_down() {
    let stage =
        Stage::new("shared = require('a_part') function Say(r) r.set_headers.A = shared.word end");
    let write = |name: &str, text: &str| {
        std::fs::write(stage.folder.path().join(name), text).unwrap();
    };
    write("a_part.lua", "runs = (runs or 0) + 1 return { word = 'w' .. runs }");
    write("bad.lua", "this is no Lua");
    write("fails.lua", "error('at once')");
    write("loops.lua", "while true do end");
    write("z_last.lua", "last = 'there'");
    stage.lua.read();
    let said = || stage.call(pre("Say")).unwrap().request.unwrap().set_headers["A"].clone();
    assert_eq!(said(), "w1");
    let files = stage.lua.shared.generation.load().own.files.clone();
    let shared = &stage.lua.shared;
    let (_, loaded) = State::new(&shared.config, &files, &shared.attendant).unwrap();
    let problems = loaded.problems;
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].contains("bad.lua:1:"), "{problems:?}");
    assert!(problems[1].contains("fails.lua:1: at once"), "{problems:?}");
    // Those that never end are not run again, and cost no other.
    let names: Vec<_> = files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["a_part", "bad", "fails", "hooks", "z_last"]);
    write("a_part.lua", "return { word = 'new' }");
    assert_eq!(said(), "w1");
    stage.lua.read();
    assert_eq!(said(), "new");
}

#[test]
fn a_state_is_kept_unless_each_call_has_its_own() {
    let file = "function Count(r) n = (n or 0) + 1 r.set_headers.N = n end";
    for (fresh_state, expected) in [(false, ["1", "2", "3"]), (true, ["1", "1", "1"])] {
        let stage = Stage::with(file, LuaConfig { fresh_state, ..LuaConfig::default() });
        let counts = [(); 3]
            .map(|()| stage.call(pre("Count")).unwrap().request.unwrap().set_headers["N"].clone());
        assert_eq!(counts, expected);
    }
}

#[test]
fn json_is_there() {
    let stage = Stage::new(
        "local cjson = require('cjson')
         function Json(r)
           local value = cjson.decode('{\"a\":[1,{\"b\":null}],\"c\":\"d\"}')
           assert(value.a[1] == 1 and value.a[2].b == cjson.null and value.c == 'd')
           r.set_headers.A = cjson.encode({ 1, 'x', { y = true } }) .. cjson.encode({})
           assert(not pcall(cjson.decode, '{') and not pcall(cjson.encode, { print }))
         end",
    );
    let back = stage.call(pre("Json")).unwrap().request.unwrap();
    assert_eq!(back.set_headers["A"], "[1,\"x\",{\"y\":true}]{}");
}

#[test]
fn compiled_hooks_do_the_same() {
    let stage = Stage::with(
        "function Sum(r) local s = 0 for i = 1, 1e6 do s = s + i end r.set_headers.S = s end",
        LuaConfig { instructions: 0, ..LuaConfig::default() },
    );
    let back = stage.call(pre("Sum")).unwrap().request.unwrap();
    assert_eq!(back.set_headers["S"], "500000500000");
}

#[tokio::test]
async fn a_handler_has_the_message_and_the_spec() {
    let stage = Stage::new(
        "function heard(event, spec) assert(event.Type == 'HostDown' and spec.APIID == '') end
         function wrong(event) error('no') end",
    );
    let now = jiff::Timestamp::now();
    let tell = |handler: &str| {
        let payload = crate::event::system("HostDown", "m", handler, now);
        stage.lua.dispatch_event(Event { payload }, Instant::now() + Duration::from_secs(60))
    };
    assert_eq!(tell("heard").await, Ok(()));
    assert!(matches!(tell("wrong").await, Err(Failure::Refused(why)) if why.contains("no")));
    assert!(matches!(tell("nobody").await, Err(Failure::Refused(_))));
}
