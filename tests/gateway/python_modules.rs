//! Files of hooks are modules as Python knows them: what looks itself up, loads others by name or does so on
//! several threads at once finds what it would find elsewhere.

use std::thread;

use serde_json::json;

use crate::python::{Stage, interpreters};
use crate::rig::{api, hook};
use crate::support::eventually;

const HOOKS: &str = "
import importlib
import pickle
import sys
from dataclasses import dataclass, field
from typing import ClassVar, get_type_hints

import parts.one
from parts import two
from _circle import later

@dataclass
class Point:
    x: 'int'
    known: 'ClassVar[int]' = 1
    rest: 'list' = field(default_factory=list)

def number():
    return 4

@Hook
def Stamp(request, session, spec):
    found = [
        Point(1).rest,
        sorted(get_type_hints(Point)),
        pickle.loads(pickle.dumps(Point(2))) == Point(2),
        sys.modules[__name__].number(),
        importlib.import_module('parts.one').VALUE,
        importlib.import_module('.one', two.__package__).VALUE,
        importlib.import_module('json') is sys.modules['json'],
        two.VALUE,
        later(),
    ]
    request.add_header('Found', repr(found))
    return request, session

@Hook
def Lazy(request, session, spec):
    import _slow
    request.add_header('Found', str(_slow.VALUE))
    return request, session

";

#[test]
fn what_python_offers_modules_works_for_those_of_hooks() {
    for interpreter in interpreters() {
        let stage = Stage::start(&interpreter, HOOKS, "workers = 1", |port| {
            api(port, json!({ "pre": [hook("Stamp")] }))
        });
        let write = |name: &str, text: &str| {
            let path = stage.hooks.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        // A package without `__init__.py`, and modules that import each other.
        write("parts/one.py", "VALUE = 1\n");
        write("parts/two.py", "from .one import VALUE as one\nVALUE = one + 1\n");
        let circle = "import middleware\ndef later():\n    return middleware.number()\n";
        write("_circle.py", circle);
        eventually("its files are there", || stage.rig.get("/api/get").status() == 200);
        let found = stage.upstream.last().header("found").unwrap().to_owned();
        assert_eq!(found, "[[], ['known', 'rest', 'x'], True, 4, 1, 1, True, 2, 4]");
    }
}

#[test]
fn a_module_that_several_hooks_import_at_once_is_loaded_whole() {
    let [interpreter, _] = interpreters();
    let slow = "import time\ntime.sleep(0.5)\nVALUE = 7\n";
    let circle = "later = None\n";
    let text = HOOKS.replace("import parts.one\nfrom parts import two\n", "");
    let stage = Stage::start(&interpreter, &text, "workers = 1\nthreads = 4", |port| {
        api(port, json!({ "pre": [hook("Lazy")] }))
    });
    for (name, text) in [("_slow.py", slow), ("_circle.py", circle)] {
        std::fs::write(stage.hooks.path().join(name), text).unwrap();
    }
    eventually("the file is loaded", || stage.logged("2 hooks") > 0);
    thread::scope(|scope| {
        let all: Vec<_> = (0..4).map(|_| scope.spawn(|| stage.rig.get("/api/get"))).collect();
        for answer in all {
            assert_eq!(answer.join().unwrap().status(), 200, "{}", stage.rig.wrapper.dump());
        }
    });
}

#[test]
fn a_module_that_is_not_there_is_called_by_its_own_name() {
    let [interpreter, _] = interpreters();
    let hooks = "
@Hook
def Missing(request, session, spec):
    import middleware.part
";
    let stage = Stage::start(&interpreter, hooks, "workers = 1", |port| {
        api(port, json!({ "pre": [hook("Missing")] }))
    });
    assert_eq!(stage.rig.get("/api/get").status(), 500);
    let told = "middleware.py:6: ModuleNotFoundError: No module named 'middleware.part'";
    eventually("it is told", || stage.logged(told) == 1);
}
