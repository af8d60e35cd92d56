"""The public names: short, lazy, typed, and never a module, whatever was imported before."""

import ast
import inspect
import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError

import pytest

import ciao_stream
from ciao_stream import checks
from tests.helpers import ROOT

PACKAGE = ROOT / "ciao_stream"

IN_A_FRESH_PROCESS = """
import importlib, inspect, json, os, sys

def found(package, name, home, first):
    if first:
        importlib.import_module(home)
    exec(f"from {package} import {name} as found", scope := {})
    return scope["found"] is vars(importlib.import_module(home))[name] and not inspect.ismodule(scope["found"])

names = json.loads(sys.argv[1])
for _, _, home in names:
    importlib.import_module(home)  # once for all children: what they need of others
for module in [*sys.modules]:
    if module.partition(".")[0] in ("ciao_stream", "strategies", "benchmarks"):
        del sys.modules[module]
for package, name, home in names:
    for first in (False, True):
        if child := os.fork():
            if os.waitpid(child, 0)[1]:
                sys.exit(f"from {package} import {name} gives something else (home imported first: {first})")
        else:
            os._exit(not found(package, name, home, first))
"""


def run(code, *arguments):
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=ROOT)


def test_every_name_gives_its_object_in_a_fresh_process_also_after_its_module_was_imported():
    names = [("ciao_stream", name, f"ciao_stream.{home}") for name, home in ciao_stream._HOMES.items()]
    names += [("ciao_stream.checks", f"check_{what}", f"ciao_stream.checks.{what}") for what in checks._CHECKS]
    done = run(IN_A_FRESH_PROCESS, json.dumps(names))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("package", [ciao_stream, checks], ids=lambda package: package.__name__)
def test_no_name_is_that_of_a_sub_module(package):
    modules = {path.stem for path in PACKAGE.iterdir()} if package is ciao_stream else {*checks._CHECKS}
    assert modules.isdisjoint(package.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'Wrld'"):
        _ = package.Wrld


def test_importing_the_package_loads_nothing_heavy():
    done = run("import ciao_stream.checks, sys; print(*sys.modules)")
    assert {"torch", "numpy", "ciao_stream.worlds"}.isdisjoint(done.stdout.split())


@pytest.mark.parametrize("package", [ciao_stream, checks], ids=lambda package: package.__name__)
def test_type_checkers_see_the_same_names(package):
    tree = ast.parse(inspect.getsource(package))
    (block,) = (node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    homes = {alias.asname: line.module for line in block.body for alias in line.names}
    if package is ciao_stream:
        assert homes == {name: f"ciao_stream.{home}" for name, home in ciao_stream._HOMES.items()}
    else:
        assert homes == {f"check_{what}": f"ciao_stream.checks.{what}" for what in checks._CHECKS}
    assert (PACKAGE / "py.typed").exists()


def test_the_version_is_that_of_the_installed_package(monkeypatch):
    def not_installed(name):
        raise PackageNotFoundError(name)

    assert ciao_stream.__version__[0].isdigit()
    monkeypatch.setattr("importlib.metadata.version", not_installed)
    assert ciao_stream.__version__ == "0.0.0+unknown"
