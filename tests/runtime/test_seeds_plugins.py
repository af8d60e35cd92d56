import random
import subprocess
import sys

import numpy as np
import pytest
import torch

import ciao_stream
from ciao_stream.exceptions import UnknownNameError
from ciao_stream.runtime.plugins import load_plugin, plugin_names
from ciao_stream.runtime.seeds import derive_seed, numpy_generator, seeded_torch
from tests.helpers import ROOT


def states():
    return [torch.get_rng_state().tolist(), str(np.random.get_state()), random.getstate()]


def test_seeds_stay_what_they_are_in_every_version():
    """Published runs rest on them."""
    assert derive_seed(0) == 3456079177858693020
    assert derive_seed(7, "fer", "epoch", 3) == 8601903234831351940


def test_every_purpose_has_a_seed_of_its_own():
    purposes = [
        (s, *p) for s in (0, 1, 2) for p in ((), ("fer",), ("jaffe",), ("fer", "epoch", 1), ("fer", "epoch", 2))
    ]
    seeds = [derive_seed(*purpose) for purpose in purposes]
    assert len(set(seeds)) == len(purposes)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_numpy_generator_depends_on_its_purpose_alone():
    draws = [numpy_generator(*purpose).random() for purpose in ((0, "a"), (0, "a"), (1, "a"), (0, "b"))]
    assert draws[0] == draws[1]
    assert len(set(draws)) == 3


def draw(*purpose):
    with seeded_torch(*purpose):
        return torch.rand(4).tolist()


def test_a_torch_draw_depends_on_its_purpose_alone():
    first = draw(0, "head", "fer")
    torch.manual_seed(5)
    torch.rand(3)
    assert draw(0, "head", "fer") == first
    assert first not in (draw(1, "head", "fer"), draw(0, "head", "jaffe"))


def nested():
    with seeded_torch(0, "outer"):
        first = torch.rand(1)
        draw(0, "inner")
        return torch.cat([first, torch.rand(1)])


def test_seeded_draws_may_be_nested():
    with seeded_torch(0, "outer"):
        assert torch.equal(nested(), torch.rand(2))


def test_no_global_generator_is_touched():
    before = states()
    numpy_generator(0, "a").random()
    draw(0, "a")
    with pytest.raises(ZeroDivisionError), seeded_torch(0, "a"):
        _ = torch.rand(1).tolist()[0] / 0
    assert states() == before


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / "some_plugins"
    folder.mkdir()
    for name in ("__init__", "b_two", "a1", "_private"):
        (folder / f"{name}.py").write_text(
            f"NAME = {name!r}\n" if name != "b_two" else "raise RuntimeError('loaded')\n"
        )
    monkeypatch.syspath_prepend(tmp_path)
    yield "some_plugins"
    for name in [name for name in sys.modules if name.startswith("some_plugins")]:
        del sys.modules[name]


def test_the_public_modules_of_a_package_are_its_plugins_and_listing_loads_none(package):
    assert plugin_names(package) == ["a1", "b-two"]
    assert not [name for name in sys.modules if name.startswith("some_plugins.")]


def test_a_plugin_is_loaded_by_its_name(package):
    assert load_plugin(package, "a1", "thing").NAME == "a1"
    with pytest.raises(RuntimeError, match="loaded"):
        load_plugin(package, "b-two", "thing")


@pytest.mark.parametrize("name", ["_private", "__init__", "b_two", "a1.x", "..a1", ""])
def test_what_is_no_plugin_is_refused(package, name):
    with pytest.raises(UnknownNameError, match=r"unknown thing .*known: a1, b-two"):
        load_plugin(package, name, "thing")


LIGHT = """
import sys, ciao_stream.encoders, ciao_stream.worlds.settings, ciao_stream.runtime.command, strategies, benchmarks.names
assert len(ciao_stream.encoders.encoder_names()) == 5
assert "dl+ciao" in strategies.strategy_names() and "fer" in benchmarks.names.task_names()
assert "World" in dir(ciao_stream)
heavy = {"torch", "torchvision", "avalanche", "numpy", "cv2", "ray"}
print(sorted({name.split(".")[0] for name in sys.modules} & heavy))
"""


def test_listing_loads_nothing_heavy():
    done = subprocess.run([sys.executable, "-c", LIGHT], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_every_public_name_is_there():
    assert ciao_stream.__all__ == sorted(ciao_stream.__all__) == dir(ciao_stream)
    for name in ciao_stream.__all__:
        assert getattr(ciao_stream, name) is not None
    with pytest.raises(AttributeError, match="module 'ciao_stream' has no attribute 'Wrold'"):
        _ = ciao_stream.Wrold
