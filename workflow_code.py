"""
The compiled code of the workflow modules, kept in memory.

Temporal's sandbox imports these modules anew for each workflow. Where no bytecode can be written or read (an
installation that is read-only, a zip file), Python would compile each of them every time: most of the CPU that a worker
needs for a new change (docs/benchmarks.md).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import InspectLoader, Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from threading import Lock
from types import CodeType, ModuleType

_PACKAGE = "workflows"


class _KeptCode(Loader):
    """Runs the code of one module, which was compiled once."""

    def __init__(self, code: CodeType) -> None:
        self._code = code

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        exec(self._code, module.__dict__)  # noqa: S102  (as every loader does)


class _KeptModules(MetaPathFinder):
    """Finds the modules of `workflows`. Every other module is left to Python."""

    def __init__(self) -> None:
        self._specs: dict[str, ModuleSpec] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] != _PACKAGE:
            return None
        if fullname not in self._specs:
            spec = PathFinder.find_spec(fullname, path, target)
            if spec is None or not isinstance(spec.loader, InspectLoader):
                return spec
            code = spec.loader.get_code(fullname)
            if code is None:
                return spec
            spec.loader = _KeptCode(code)
            self._specs[fullname] = spec
        return _copy(self._specs[fullname])


def _copy(spec: ModuleSpec) -> ModuleSpec:
    """A spec is marked while its module is imported, so that each import needs its own."""
    locations = spec.submodule_search_locations
    again = ModuleSpec(spec.name, spec.loader, origin=spec.origin, is_package=locations is not None)
    again.has_location = spec.has_location
    if locations is not None:
        again.submodule_search_locations = list(locations)
    return again


_lock = Lock()


def keep_workflow_code() -> None:
    """From now on each workflow module of this process is compiled once. It may be called again."""
    with _lock:
        if not any(isinstance(finder, _KeptModules) for finder in sys.meta_path):
            sys.meta_path.insert(0, _KeptModules())
