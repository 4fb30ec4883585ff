"""How the files of a folder of hooks find each other: they import each other, and packages beside them, by their
names, and no other folder sees them.

Each folder is a package of its own, under a name that nobody else uses. Python's own machinery loads what is in
it, so that modules are known to `sys.modules`, have a lock while they are loaded, and may be packages or written
in C. Only the word `import` in a file of a folder is heeded here: a name that the folder has is meant to be its
own."""

import builtins
import hashlib
import importlib
import sys
import types
from importlib import machinery, util

# The packages of folders by their names.
_folders = {}


class Folder:
    """The modules of a folder."""

    def __init__(self, path):
        # The same in each worker: what one pickles another may read.
        name = "hooks_" + hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()[:12]
        self.name = name
        self.builtins = dict(vars(builtins), __import__=self._import)
        self._finders = {}
        self._own = {}
        package = types.ModuleType(name)
        package.__path__ = [path]
        package.__package__ = name
        package.__spec__ = machinery.ModuleSpec(name, None, is_package=True)
        package.__spec__.submodule_search_locations = package.__path__
        sys.modules[name] = package
        _folders[name] = self

    def find(self, whole, paths):
        """Where a module is, by its whole name; `None` where there is none."""
        portions = []
        for path in paths:
            finder = self._finders.get(path)
            if finder is None:
                # What is compiled is not looked for: it may be of another text.
                kinds = [
                    (machinery.ExtensionFileLoader, machinery.EXTENSION_SUFFIXES),
                    (_Loader, machinery.SOURCE_SUFFIXES),
                ]
                finder = self._finders[path] = machinery.FileFinder(path, *kinds)
            spec = finder.find_spec(whole)
            if spec is not None and spec.loader is not None:
                return spec
            if spec is not None:
                portions += spec.submodule_search_locations or ()
        if not portions:
            return None
        spec = machinery.ModuleSpec(whole, None, is_package=True)
        spec.submodule_search_locations = portions
        return spec

    def has(self, top):
        """Whether a name without dots is one of the folder's own."""
        own = self._own.get(top)
        if own is None:
            spec = self.find(self.name + "." + top, sys.modules[self.name].__path__)
            # A folder without `__init__.py` is only meant where nobody else has the name.
            own = spec is not None and (spec.loader is not None or not _is_elsewhere(top))
            self._own[top] = own
        return own

    def module(self, name, fromlist=()):
        """A module of the folder, loaded if it is not yet."""
        whole = self.name + "." + name
        try:
            if fromlist:
                # Modules of a package may be named there.
                return builtins.__import__(whole, None, None, fromlist, 0)
            return _import_module(whole)
        except ModuleNotFoundError as error:
            below = self.name + "."
            if not (error.name or "").startswith(below):
                raise
            missing = error.name[len(below) :]
            raise ModuleNotFoundError("No module named %r" % missing, name=missing) from None

    def _import(self, name, globals=None, locals=None, fromlist=(), level=0):
        top = name.partition(".")[0]
        if level or not self.has(top):
            return builtins.__import__(name, globals, locals, fromlist, level)
        module = self.module(name, fromlist)
        return module if fromlist else sys.modules[self.name + "." + top]


class _Loader(machinery.SourceFileLoader):
    """Loads a file of a folder."""

    def get_code(self, fullname):
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)

    def exec_module(self, module):
        folder = _folders[module.__name__.partition(".")[0]]
        module.__dict__["__builtins__"] = folder.builtins
        super().exec_module(module)


class _Finder:
    """Finds modules in the packages of folders, and nothing else."""

    @staticmethod
    def find_spec(fullname, path=None, target=None):
        folder = _folders.get(fullname.partition(".")[0])
        return folder.find(fullname, path) if folder is not None and path is not None else None


def _is_elsewhere(top):
    try:
        return top in sys.modules or util.find_spec(top) is not None
    except (ImportError, ValueError):
        return False


_import_module = importlib.import_module


def _import_module_of_caller(name, package=None):
    """As `importlib.import_module`; a name that a folder has is its own where a file of it asks."""
    caller = sys._getframe(1).f_globals.get("__name__") or ""
    folder = _folders.get(caller.partition(".")[0])
    if folder is not None and isinstance(name, str) and folder.has(name.partition(".")[0]):
        return folder.module(name)
    return _import_module(name, package)


sys.meta_path.insert(0, _Finder)
importlib.import_module = _import_module_of_caller
