"""Loads this package from source text in memory; see worker.go.

worker.go puts a call of run() with the texts of all files behind this one.  It
runs as __main__, once, before anything of the app.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
import types
from typing import Dict, Optional, Sequence

PACKAGE = "millrace_worker"


class Loader(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Finds millrace_worker and its modules in a dict of sources."""

    def __init__(self, sources: Dict[str, str]) -> None:
        self.sources = {PACKAGE if name == "__init__" else PACKAGE + "." + name: text for name, text in sources.items()}

    def find_spec(
        self,
        fullname: str,
        path: Optional[Sequence[str]],
        target: Optional[types.ModuleType] = None,
    ) -> Optional[importlib.machinery.ModuleSpec]:
        if fullname not in self.sources:
            return None
        spec = importlib.machinery.ModuleSpec(fullname, self, origin=self.filename(fullname))
        if self.is_package(fullname):
            spec.submodule_search_locations = []
        return spec

    def is_package(self, fullname: str) -> bool:
        return fullname == PACKAGE

    def filename(self, fullname: str) -> str:
        return "<%s>" % fullname

    def get_source(self, fullname: str) -> str:
        return self.sources[fullname]

    def exec_module(self, module: types.ModuleType) -> None:
        name = module.__name__
        exec(compile(self.get_source(name), self.filename(name), "exec"), module.__dict__)


def run(sources: Dict[str, str], entry: str) -> None:
    """Install the loader and run the entry module's main()."""
    if sys.path and sys.path[0] == "":
        del sys.path[0]  # python -c puts the current folder there; an app's folder is explicit
    sys.meta_path.insert(0, Loader(sources))
    importlib.import_module(PACKAGE + "." + entry).main()
