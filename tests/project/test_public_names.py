"""The public names: short, lazy, typed, and never a module, whatever was imported before."""

import ast
import inspect
import json
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest
import torch
from torch import nn

import ciao_stream
from ciao_stream import CiaoError, FeatureCache, HeadSettings, Settings, TaskSpec, World, WorldLearner, Worlds, checks
from tests.helpers import ROOT, tiny

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
    quiet = "ignore:This process:DeprecationWarning"  # of os.fork, from Python 3.12 on
    return subprocess.run(
        [sys.executable, "-W", quiet, "-c", code, *arguments], capture_output=True, text=True, cwd=ROOT
    )


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


def own_faces():
    return tiny.faces(images=tiny.pictures(4))


def world(kind="categorical", **options):
    return Worlds(tiny.encoder()).add(tiny.SPECS[kind], settings=tiny.small(), **options)


def step(kind="categorical", y=None, x=None):
    made = world(kind)
    x, sound = (tiny.batch(made.shared, kind, level="z")[0] if x is None else x), tiny.batch(made.shared, kind)[1]
    return WorldLearner(made).step(x, sound if y is None else y)


SPEC, LAST = tiny.SPECS["categorical"], tiny.encoder().last
PIXELS, Z, U = (tiny.batch(tiny.encoder(), level=level)[0] for level in ("pixels", "z", "u"))
GRAY = ciao_stream.Preprocessing(16, "gray", (0.5,), (0.25,))
ROWS = np.arange(4)

WRONG = {
    "CiaoMask": [(lambda: ciao_stream.CiaoMask(3), "last: expected LastUnit but got int 3")],
    "Encoder": [
        (lambda: ciao_stream.Encoder("mine", None, nn.Identity(), LAST), "preprocessing: expected Preprocessing"),
        (lambda: ciao_stream.Encoder("mine", GRAY, "trunk", LAST), "trunk: expected Module but got str 'trunk'"),
        (lambda: tiny.encoder().stored_z(PIXELS.float()),
         r"pixels: expected a tensor, uint8 \(N, 1, 16, 16\), but got"),
    ],
    "FaceDataset": [
        (lambda: ciao_stream.FaceDataset(None, "train", None, ROWS, ROWS, "real"), "spec: expected TaskSpec"),
        (lambda: ciao_stream.FaceDataset(SPEC, "train", None, [0], [0], "real"),
         r"rows: expected ndarray but got list"),
        (lambda: ciao_stream.FaceDataset(SPEC, "train", None, ROWS, ROWS[:3], "real"), "expected targets of shape"),
    ],
    "FeatureCache": [
        (lambda: ciao_stream.FeatureCache(3), "folder: expected str or Path but got int 3"),
        (lambda: ciao_stream.FeatureCache(".", "1G"), "budget: expected int but got str '1G'"),
        (lambda: ciao_stream.FeatureCache(".", 0), "budget: expected a number of bytes >= 1 but got 0"),
        (lambda: FeatureCache(".").get(own_faces().images, tiny.encoder(), "w"), "unknown level 'w'"),
    ],
    "Head": [
        (lambda: ciao_stream.Head(None, (6, 4, 4), HeadSettings()), "spec: expected TaskSpec but got None"),
        (lambda: ciao_stream.Head(SPEC, 6, HeadSettings()), r"map_shape: expected \(C, h, w\) but got int 6"),
        (lambda: ciao_stream.Head(SPEC, (6, 4, 4), Settings()), "settings: expected HeadSettings but got Settings"),
    ],
    "HeadSettings": [
        (lambda: HeadSettings(pool="men"), "^settings: head.pool: expected one of max2, mean, none but got 'men'"),
        (lambda: HeadSettings(hidden=(0,)), r"head.hidden: expected a list, each a whole number >= 1 but got \(0,\)"),
        (lambda: HeadSettings(dropout=1), "head.dropout: expected a number >= 0 and < 1 but got 1"),
    ],
    "OnlineLearner": [
        (lambda: ciao_stream.OnlineLearner("ciao-face"), "encoder: expected Encoder but got str"),
        (lambda: ciao_stream.OnlineLearner(tiny.encoder(), seed="one"), "seed: expected int but got str 'one'"),
    ],
    "PRESETS": [(lambda: ciao_stream.PRESETS["papr"], "^unknown preset 'papr': did you mean 'paper'")],
    "Preprocessing": [
        (lambda: ciao_stream.Preprocessing("big", "gray", (0.5,), (0.25,)), "size: expected a whole number"),
        (lambda: ciao_stream.Preprocessing(16, "grey", (0.5,), (0.25,)), "channels: expected one of gray, rgb, bgr"),
        (lambda: ciao_stream.Preprocessing(16, "rgb", (0.5,), (0.25,) * 3), "mean: expected one per channel"),
        (lambda: ciao_stream.Preprocessing(0, "gray", (0.5,), (0.25,)), "size: expected a whole number >= 1 but got 0"),
        (lambda: ciao_stream.Preprocessing(16, "gray", (0.5,), (0,)), "std: expected a list, each a number > 0"),
        (lambda: ciao_stream.Preprocessing(16, "gray", 0.5, (1.0,)), "mean: expected a list but got 0.5"),
        (lambda: GRAY.fit("face.png"), "image: expected ndarray but got str 'face.png'"),
        (lambda: GRAY.fit(np.zeros((8, 8, 4), np.uint8)), r"image: expected uint8 of shape \(H, W\)"),
    ],
    "Settings": [
        (lambda: Settings(lr="fast"), "lr: expected a number > 0 but got 'fast'"),
        (lambda: Settings(head=None), "head: expected HeadSettings but got None"),
    ],
    "TaskData": [(lambda: ciao_stream.TaskData(1, 2, 3), "train: expected FaceDataset but got int 1")],
    "TaskSpec": [
        (lambda: TaskSpec(3, "categorical", ("a", "b")), "name: expected str but got int 3"),
        (lambda: TaskSpec("fer", "categorical", "happy"), "labels: expected a tuple of names but got str 'happy'"),
        (lambda: TaskSpec("fer", "categorical", (1, 2)), "label: expected str but got int 1"),
    ],
    "World": [
        (lambda: World(None, tiny.encoder(), "dl", True, Settings()), "spec: expected TaskSpec but got None"),
        (lambda: World(SPEC, None, "dl", True, Settings()), "encoder: expected Encoder but got None"),
        (lambda: World(SPEC, tiny.encoder(), "dl", True, {}), "settings: expected Settings but got dict {}"),
        (lambda: World(SPEC, tiny.encoder(), "dl", True, Settings(), "one"), "seed: expected int but got str 'one'"),
        (lambda: World.load(None, tiny.encoder()), "folder: expected str or Path but got None"),
        (lambda: world().predict([[1.0]]),
         r"world 'fer' reads z: expected a tensor, float \(N, 4, 8, 8\), but got list"),
        (lambda: world().predict(Z.int()), "but got Tensor int32"),
        (lambda: world().predict(Z[0]), r"but got Tensor float32 \(4, 8, 8\)"),
        (lambda: world().predict(U), r"float32 \(12, 6, 4, 4\); encode the faces at level 'z'"),
        (lambda: world(scheme="full").predict(Z), r"reads pixels: expected a tensor, uint8 \(N, 1, 16, 16\)"),
    ],
    "WorldLearner": [
        (lambda: WorldLearner(None), "world: expected World but got None"),
        (lambda: step(x=PIXELS), "world 'fer' reads z: expected a tensor, float"),
        (lambda: step(y=[0, 1]), r"targets of categorical world 'fer': expected a tensor, int64 \(12,\), but got list"),
        (lambda: step(y=torch.zeros(12)), r"expected a tensor, int64 \(12,\), but got Tensor float32 \(12,\)"),
        (lambda: step(y=torch.full((12,), 7)), "targets of categorical world 'fer': expected 0 to 2 but got .7, 7"),
        (lambda: step(y=torch.zeros(11).long()), r"but got Tensor int64 \(11,\)"),
        (lambda: step("votes", y=torch.zeros(12).long()), r"expected a tensor, float \(12, 3\), but got Tensor int64"),
        (lambda: step("multilabel", y=torch.zeros(12, 3)), r"expected a tensor, float \(12, 4\), but got .*\(12, 3\)"),
        (lambda: WorldLearner(world()).fit(encode_tiny("z"), seed="one"), "seed: expected int but got str 'one'"),
        (lambda: WorldLearner(world()).fit(encode_tiny("z"), epochs=3), "epochs: expected range or None but got int 3"),
        (lambda: WorldLearner(world()).fit(encode_tiny("u")), "world 'fer' reads z: expected a tensor, float"),
    ],
    "Worlds": [
        (lambda: Worlds("ciao-face"), "encoder: expected Encoder but got str 'ciao-face'"),
        (lambda: Worlds(tiny.encoder()).add(None), "spec: expected TaskSpec but got None"),
        (lambda: Worlds(tiny.encoder()).add(SPEC, settings={}), "settings: expected Settings but got dict {}"),
        (lambda: Worlds(tiny.encoder()).put(None), "world: expected World but got None"),
        (lambda: Worlds(tiny.encoder()).load(3), "folder: expected str or Path but got int 3"),
        (lambda: Worlds(tiny.encoder()).predict(Z), r"pixels: expected a tensor, uint8 \(N, 1, 16, 16\), but got"),
        (lambda: Worlds(tiny.encoder()).predict("face.png"), "pixels: expected a tensor, uint8 .* but got str"),
        (lambda: Worlds(tiny.encoder()).predict(PIXELS[:, :, :8]), r"but got Tensor uint8 \(12, 1, 8, 16\)"),
        (lambda: Worlds(tiny.encoder()).predict_encoded(PIXELS, U), r"z: expected a tensor, float \(N, 4, 8, 8\)"),
    ],
    "attach": [
        (lambda: ciao_stream.attach("resnet18", GRAY, "mine"), "module: expected Module but got str 'resnet18'"),
        (lambda: ciao_stream.attach(nn.Identity(), None, "mine"), "preprocessing: expected Preprocessing"),
        (lambda: ciao_stream.attach(nn.Identity(), GRAY, "a/b"), "name: expected a name that a folder can have"),
    ],
    "choose_mask": [(lambda: ciao_stream.choose_mask(nn.Conv2d(1, 1, 1)), "last: expected LastUnit but got Conv2d")],
    "encode": [
        (lambda: ciao_stream.encode(3, tiny.encoder(), FeatureCache("."), "z"), "faces: expected FaceDataset"),
        (lambda: ciao_stream.encode(own_faces(), "e", FeatureCache("."), "z"), "encoder: expected Encoder but got str"),
        (lambda: ciao_stream.encode(own_faces(), tiny.encoder(), ".", "z"), "cache: expected FeatureCache but got str"),
        (lambda: encode_tiny("w"), r"unknown level 'w'; known: pixels, z, u"),
    ],
    "evaluate": [
        (lambda: ciao_stream.evaluate(None, torch.zeros(2, 3), ROWS[:2]), "spec: expected TaskSpec but got None"),
        (lambda: ciao_stream.evaluate(SPEC, [0, 1], ROWS[:2]), "outputs: expected Tensor but got list"),
        (lambda: ciao_stream.evaluate(SPEC, torch.zeros(2, 4), ROWS[:2]), r"expected outputs of shape \(N, 3\)"),
        (lambda: ciao_stream.evaluate(SPEC, torch.zeros(2, 3), None), r"expected targets of shape \(2,\) but got \(\)"),
        (lambda: ciao_stream.evaluate(SPEC, torch.zeros(2, 3), torch.zeros(2)), "expected integer classes but got flo"),
        (lambda: ciao_stream.evaluate(SPEC, torch.zeros(2, 3), ROWS[2:]), "class 3 at sample 1: expected 0 to 2"),
        (lambda: ciao_stream.evaluate(tiny.SPECS["votes"], torch.zeros(2, 3), torch.ones(2, 3)),
         "targets: votes of sample 0 are not shares that sum to 1"),
        (lambda: ciao_stream.evaluate(tiny.SPECS["dimensional"], torch.zeros(2, 2), torch.full((2, 2), 5)),
         r"targets: value of sample 0 is outside \[-1, 1\]"),
        (lambda: ciao_stream.evaluate(tiny.SPECS["multilabel"], torch.zeros(2, 4), torch.full((2, 4), 3)),
         "targets: label of sample 0 is neither 0 nor 1"),
    ],
    "load_detector": [(lambda: ciao_stream.load_detector(3), "detector: expected str but got int 3")],
    "load_encoder": [
        (lambda: ciao_stream.load_encoder(None), "encoder: expected str or Path but got None"),
        (lambda: ciao_stream.load_encoder("ciao-face", seed="one"), "seed: expected int but got str 'one'"),
    ],
    "load_mask": [(lambda: ciao_stream.load_mask(3), "unknown mask 3; known: ")],
    "check_dataset": [
        (lambda: ciao_stream.check_dataset(3), "expected a function that loads the data set but got int 3"),
        (lambda: ciao_stream.check_dataset(lambda: 3), "expected the function to return TaskData but got int 3"),
    ],
    "check_encoder": [(lambda: ciao_stream.check_encoder("pk"), "expected an Encoder but got str")],
    "check_mask": [
        (lambda: ciao_stream.check_mask("ciao"), "expected a class derived from InhibitoryMask but got str")
    ],
    "check_strategy": [(lambda: ciao_stream.check_strategy("dl"), "expected a strategy, which has methods level and")],
}  # fmt: skip
TAKES_NOTHING = {"CiaoError", "__version__", "encoder_names", "mask_names"}


def encode_tiny(level):
    return ciao_stream.encode(own_faces(), tiny.encoder(), FeatureCache(tempfile.mkdtemp()), level)


def test_every_public_call_is_asked_with_wrong_input():
    assert WRONG.keys() == {*ciao_stream.__all__} - TAKES_NOTHING


@pytest.mark.parametrize(
    ("call", "message"), [pytest.param(*one, id=f"{name} {k}") for name in WRONG for k, one in enumerate(WRONG[name])]
)
def test_wrong_input_is_refused_in_one_line(call, message):
    with pytest.raises(CiaoError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
