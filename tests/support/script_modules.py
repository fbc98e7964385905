"""The Python scripts of the repository as modules, although their names have no suffix."""

import importlib.util
import sys
from importlib.machinery import SourceFileLoader
from types import ModuleType

from tests.support.paths import ROOT


def load_script(name: str) -> ModuleType:
    """Return `scripts/NAME` as a module; loaded once."""
    module_name = f"scripts_{name.replace('-', '_')}"
    if module_name not in sys.modules:
        loader = SourceFileLoader(module_name, str(ROOT / "scripts" / name))
        spec = importlib.util.spec_from_loader(module_name, loader)
        assert spec is not None
        module = importlib.util.module_from_spec(spec)
        # Do not leave a compiled file next to the script.
        before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
        sys.modules[module_name] = module
        try:
            loader.exec_module(module)
        finally:
            sys.dont_write_bytecode = before
    return sys.modules[module_name]
