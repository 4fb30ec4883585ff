"""A worker of the gateway: it loads hooks and runs them when it is called."""

import json
import os
import platform
import signal
import sys

if sys.version_info < (3, 8):
    sys.exit("hooks need Python 3.8 or later, and this is %s" % platform.python_version())

import coproc_messages

coproc_messages.publish()

import coproc_bundle
import coproc_frames as frames
import coproc_turns

Object = coproc_messages.CLASSES["Object"]
Event = coproc_messages.CLASSES["Event"]
# What the gateway takes as an answer, in bytes; a larger one would cost other calls as well.
MOST = int(os.environ["COPROC_PYTHON_MAX"])


class Hooks:
    """All hooks, by the hash of their bundle and their name."""

    def __init__(self, own, bundles):
        self.known = {}
        self.handlers = {}
        self.problems = []
        for hash, folders in [(coproc_bundle.NO_BUNDLE, own), ("", own)] + sorted(bundles.items()):
            for bundle in folders:
                for name, hook in bundle.hooks.items():
                    # Of two the first counts, as within a folder.
                    self.known.setdefault((hash, name), (hook.run, bundle.folder))
                for name, handler in bundle.handlers.items():
                    self.handlers.setdefault(name, (handler.run, bundle.folder))
        for bundle in own:
            self.problems += bundle.problems
        for folders in bundles.values():
            for bundle in folders:
                self.problems += [os.path.join(bundle.folder, one) for one in bundle.problems]

    def call(self, number, kind, payload):
        """Runs a hook or a handler; its answer as a frame."""
        name, folder = "?", ""
        try:
            if kind == frames.DISPATCH:
                object = Object.FromString(payload)
                name = object.hook_name
                spec = object.spec
                hash = spec["bundle_hash"] if "bundle_hash" in spec else ""
                run, folder = self.known.get((hash, name), (None, ""))
                if run is None:
                    return frames.frame(
                        number, frames.ERROR, ("there is no hook '%s'" % name).encode()
                    )
                run(object)
                answer = object.SerializeToString()
                if len(answer) > MOST:
                    raise ValueError("its answer has %d bytes, %d are allowed" % (len(answer), MOST))
                return frames.HEAD.pack(len(answer), number, frames.REPLY) + answer
            if kind == frames.EVENT:
                event = json.loads(Event.FromString(payload).payload)
                name = event["handler_name"]
                run, folder = self.handlers.get(name, (None, ""))
                if run is None:
                    raise LookupError("there is no handler of events of this name")
                run(event)
                return frames.frame(number, frames.REPLY)
            why = "there is no kind of frame %d here" % kind
        except BaseException as error:
            said = coproc_bundle.said(error, folder)
            why = "Hook '%s' returned an error: %s" % (name, said)
        return frames.frame(number, frames.ERROR, why.encode("utf-8", "replace"))


def main():
    """Runs until the gateway wants no more."""

    def leave(*_):
        sys.stdout.flush()
        sys.stderr.flush()
        # Hooks that still run do not keep it.
        os._exit(0)

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)
    # The gateway knows of it from here on, though its hooks may take long to load.
    control = frames.Control(frames.connect(calls=True))
    own = []
    if len(sys.argv) > 1:
        folder = sys.argv[1]
        if os.path.isdir(folder):
            # For what looks for files of its own, and for modules that C loads.
            sys.path.append(folder)
        own = [coproc_bundle.of_folder(folder)]
    here = os.path.dirname(os.path.abspath(__file__))
    number, bundles = coproc_bundle.of_list(os.path.join(here, "bundles.json"))
    hooks = Hooks(own, bundles)
    ready = {
        "python": platform.python_version(),
        "messages": coproc_messages.MAKER,
        "lack": coproc_messages.LACK,
        "bundles": number,
        "hooks": sorted(name for hash, name in hooks.known if hash),
        "problems": hooks.problems,
    }
    control.send(frames.frame(0, frames.READY, json.dumps(ready).encode()))
    threads = int(os.environ.get("COPROC_PYTHON_THREADS", "4"))
    coproc_turns.Turns(control, hooks.call, threads).watch()
    leave()


main()
