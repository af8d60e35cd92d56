"""What holds for every source file: its examples run, and it loads nothing that could execute."""

import ast
import doctest
import importlib

import pytest

from tests.helpers import ROOT

PACKAGES = ("ciao_stream", "strategies", "benchmarks", "tuning")
SOURCES = sorted(path.relative_to(ROOT) for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
EXAMPLES = {
    path: len(doctest.DocTestParser().get_examples(text))
    for path in SOURCES
    if ">>>" in (text := (ROOT / path).read_text())
}


def test_all_packages_are_here():
    assert {path.parts[0] for path in SOURCES} == set(PACKAGES)
    assert len(EXAMPLES) >= 10


@pytest.mark.parametrize("path", EXAMPLES, ids=str)
def test_all_examples_of_a_module_run_and_hold(path):
    """A module that has no example is not loaded; an example that no docstring carries is an error."""
    name = ".".join(path.with_suffix("").parts).removesuffix(".__init__")
    result = doctest.testmod(importlib.import_module(name), raise_on_error=False)
    assert (result.failed, result.attempted) == (0, EXAMPLES[path])


EXECUTING = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


SAFE_NAMES = {"pickle.UnpicklingError"}
RUNNING = {"eval", "exec", "builtins.eval", "builtins.exec", "__import__", "os.system", "yaml.load", "yaml.unsafe_load"}
LOADERS = {"torch.serialization.load", "torch.hub.load", "torch.jit.load"}


def says(call, name, value):
    """Whether a keyword argument is this constant, written out."""
    return any(keyword.arg == name and ast.unparse(keyword.value) == str(value) for keyword in call.keywords)


def dangers(source):
    """Calls and imports by which data could run as code."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] in EXECUTING]
        elif isinstance(node, ast.ImportFrom):
            names = {f"{node.module or ''}.{alias.name}" for alias in node.names} - SAFE_NAMES
            loads = {"torch.load", "numpy.load", "yaml.load"}
            found += [name for name in names if name.split(".")[0] in EXECUTING or name in loads]
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            whole = {keyword.arg for keyword in node.keywords}
            if (
                called in RUNNING | LOADERS
                or (called == "torch.load" and not says(node, "weights_only", True))
                or (
                    called in ("np.load", "numpy.load")
                    and "allow_pickle" in whole
                    and not says(node, "allow_pickle", False)
                )
            ):
                found.append(called)
    return found


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_a_module_loads_nothing_that_could_execute(path):
    assert dangers((ROOT / path).read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle", "import pickle as p", "from pickle import loads", "import os, dill",
        "def f():\n    import joblib.externals", "from torch import load", "torch.load(f)",
        "torch.load(f, weights_only=False)", "torch.load(f, weights_only=flag)", "torch.hub.load(a, b)",
        "np.load(f, allow_pickle=True)", "np.load(f, allow_pickle=flag)", "eval(text)", "exec(text)",
        "yaml.load(text)", "os.system(text)",
    ],
)  # fmt: skip
def test_the_scan_finds_what_it_looks_for(source):
    assert len(dangers(source)) == 1


@pytest.mark.parametrize(
    "source",
    [
        "torch.load(f, weights_only=True)", "np.load(f, allow_pickle=False)", "np.load(f)", "model.eval()",
        "json.load(f)",
    ],
)  # fmt: skip
def test_the_scan_lets_pass_what_is_safe(source):
    assert dangers(source) == []
