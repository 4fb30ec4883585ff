"""Loads the files of hooks: those of a folder, and those of bundles."""

import hashlib
import importlib
import json
import os
import site
import sys
import traceback
from importlib import metadata

import coproc_modules
from tyk.decorators import Event, Hook

# What the hash of a bundle is where there is none.
NO_BUNDLE = hashlib.md5(b"").hexdigest() if sys.version_info < (3, 9) else hashlib.md5(
    b"", usedforsecurity=False
).hexdigest()

# The file in which a bundle asks for packages.
REQUIREMENTS = "requirements.txt"

# How much of an error is told: characters of its text, and places that led to it.
LONGEST = 2000
DEEPEST = 8


class Bundle:
    """A folder of hooks."""

    def __init__(self, folder):
        self.folder = folder
        self.hooks = {}
        self.handlers = {}
        self.problems = []
        self._modules = coproc_modules.Folder(folder)

    def load(self, names):
        """Loads files by their names, each on its own: one that fails takes no other down."""
        for name in names:
            try:
                if not os.path.isfile(os.path.join(self.folder, name)):
                    raise FileNotFoundError("there is no such file")
                module = self._modules.module(os.path.splitext(name)[0].replace("/", "."))
            except BaseException as error:
                told = said(error, self.folder)
                at = "" if told.startswith(name + ":") else name + ": "
                self.problems.append(at + told)
                continue
            for value in list(vars(module).values()):
                if isinstance(value, Hook):
                    self._add(self.hooks, value, name)
                elif isinstance(value, Event):
                    self._add(self.handlers, value, name)
        return self

    def _add(self, known, value, name):
        other = known.setdefault(value.name, value)
        if other is not value:
            self.problems.append("%s: there is another hook `%s` already" % (name, value.name))


def said(error, folder=""):
    """An error in one line: the places in files of hooks that led to it, the outermost first, and what it
    says."""
    kind = type(error).__name__
    if isinstance(error, SyntaxError) and error.filename:
        return "%s:%s: %s: %s" % (_below(folder, error.filename), error.lineno, kind, error.msg)
    own = (os.path.dirname(os.path.abspath(__file__)) + os.sep, importlib.__file__, "<frozen")
    places = [
        "%s:%s: " % (_below(folder, frame.f_code.co_filename), line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if not frame.f_code.co_filename.startswith(own)
    ]
    try:
        text = str(error)
    except Exception:
        text = "it cannot be shown"
    if len(text) > LONGEST:
        text = text[:LONGEST] + "..."
    return "%s%s: %s" % ("".join(places[-DEEPEST:]), kind, " ".join(text.splitlines()))


def _below(folder, file):
    """A file's path in its folder."""
    below = folder.rstrip(os.sep) + os.sep
    return file[len(below) :] if file.startswith(below) else file


def _use_packages(environment):
    """Has the packages of a virtual environment found behind those that are there; what is wrong with that."""
    version = "python%d.%d" % sys.version_info[:2]
    packages = os.path.join(environment, "lib", version, "site-packages")
    if not os.path.isdir(packages):
        return ["%s: there are no packages for %s in %s" % (REQUIREMENTS, version, environment)]
    site.addsitedir(packages)
    problems = []
    for one in metadata.distributions(path=[packages]):
        name, wanted = one.metadata["Name"], one.version
        found = metadata.version(name) if name else wanted
        if found != wanted:
            problems.append(
                "%s: %s %s is hidden by %s of the interpreter's own environment"
                % (REQUIREMENTS, name, wanted, found)
            )
    return problems


def of_folder(folder):
    """All `*.py` files of a folder, in the order of their names."""
    bundle = Bundle(folder)
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        bundle.problems.append(str(error))
        return bundle
    return bundle.load(n for n in names if n.endswith(".py") and not n.startswith((".", "_")))


def of_list(file):
    """The bundles that the gateway lists in a file: the number of the list, and the folders of each bundle by
    its hash."""
    try:
        with open(file, encoding="utf-8") as source:
            listed = json.load(source)
    except FileNotFoundError:
        return 0, {}
    # All packages are there before the first bundle is loaded.
    environments = {one["packages"] for _, folders in listed["bundles"] for one in folders if "packages" in one}
    problems = {environment: _use_packages(environment) for environment in sorted(environments)}
    loaded = {}
    for hash, folders in listed["bundles"]:
        loaded[hash] = [Bundle(one["folder"]).load([one["main"]]) for one in folders]
        for one, bundle in zip(folders, loaded[hash]):
            bundle.problems += problems.get(one.get("packages"), [])
    return listed["number"], loaded
