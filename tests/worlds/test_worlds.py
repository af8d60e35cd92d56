import json
import pickle
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from ciao_stream.encoders.cache import FeatureCache
from ciao_stream.exceptions import CiaoError, UnknownNameError, WorldError
from ciao_stream.faces.task import TaskSpec
from ciao_stream.worlds.settings import HeadSettings
from ciao_stream.worlds.training import WorldLearner
from ciao_stream.worlds.world import World, scheme_names
from ciao_stream.worlds.worlds import Worlds
from tests.helpers import tiny

FORMS = [(scheme, masked) for scheme in scheme_names() for masked in (False, True)]
KINDS = list(tiny.SPECS)


def house(encoder=None):
    """One world of every scheme, with and without a mask; the name of its task says which."""
    worlds = Worlds(encoder or tiny.encoder(norm=True))
    for number, (scheme, masked) in enumerate(FORMS):
        kind = KINDS[number % 4]
        spec = TaskSpec(f"{scheme}{'+ciao' * masked}", kind, tiny.SPECS[kind].labels)
        worlds.add(spec, scheme, masked=masked, settings=tiny.small())
    return worlds


def train(world, steps=2):
    x, y = tiny.batch(world.shared, world.spec.kind, level=world.level)
    learner = WorldLearner(world)
    for _ in range(steps):
        learner.step(x, y)


@pytest.mark.parametrize(("scheme", "masked"), FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_world_reads_its_level_and_gives_one_row_per_face(kind, scheme, masked):
    encoder = tiny.encoder()
    world = World(tiny.SPECS[kind], encoder, scheme, masked, tiny.small())
    assert world.level == ("pixels" if scheme == "full" else "u" if (scheme, masked) == ("dl", False) else "z")
    x, _ = tiny.batch(encoder, kind, level=world.level)
    outputs = world.predict(x)
    assert (outputs.shape, outputs.dtype) == ((12, tiny.SPECS[kind].n_out), torch.float32)
    assert not outputs.requires_grad


@pytest.mark.parametrize("scheme", [scheme for scheme in scheme_names() if scheme != "full"])
@pytest.mark.parametrize("options", [{}, {"norm": True}])
def test_without_training_the_map_is_u_and_with_a_mask_u_over_half_plus_u(scheme, options):
    encoder = tiny.encoder(**options)
    z, u = (tiny.batch(encoder, level=level)[0] for level in ("z", "u"))
    for masked, expected in ((False, u), (True, u / (0.5 + u))):
        world = World(tiny.SPECS["votes"], encoder, scheme, masked, tiny.small()).eval()
        got = world.map({"u": u, "z": z}[world.level])
        assert torch.allclose(got, expected, rtol=0.01, atol=0.01), "u is stored in half precision"


def test_worlds_are_a_mapping_and_are_added_activated_and_deleted():
    worlds = Worlds(tiny.encoder())
    with pytest.raises(WorldError, match=r"no world is active: call add\(\) or activate\(\)"):
        _ = worlds.active
    first = worlds.add(tiny.SPECS["categorical"])
    second = worlds.add(tiny.SPECS["votes"], "lc", masked=False)
    assert isinstance(worlds, Mapping)
    assert (len(worlds), [*worlds]) == (2, ["fer", "ferplus"])
    assert [*worlds.items()] == [("fer", first), ("ferplus", second)]
    assert ("fer" in worlds, "jaffe" in worlds, worlds.get("jaffe")) == (True, False, None)
    assert worlds.active is first
    assert worlds.activate("ferplus") is worlds.active is worlds["ferplus"] is second
    worlds.delete("fer")
    assert (tuple(worlds), worlds.active) == (("ferplus",), second)
    worlds.delete("ferplus")
    assert len(worlds) == 0
    with pytest.raises(WorldError, match="no world is active"):
        _ = worlds.active


def test_a_second_world_of_a_name_is_refused_and_the_first_stays():
    worlds = Worlds(tiny.encoder())
    first = worlds.add(tiny.SPECS["votes"])
    with pytest.raises(WorldError, match="world 'ferplus' exists already: delete it first"):
        worlds.add(tiny.SPECS["votes"])
    assert worlds["ferplus"] is first


def test_a_world_of_another_encoder_is_refused():
    worlds, stranger = Worlds(tiny.encoder()), World(tiny.SPECS["votes"], tiny.encoder(1), "dl", True, tiny.small())
    with pytest.raises(WorldError, match="world 'ferplus' was made for another encoder"):
        worlds.put(stranger)
    assert not worlds


@pytest.mark.parametrize("ask", [Worlds.activate, Worlds.delete, Worlds.__getitem__])
def test_an_unknown_world_is_refused_with_a_suggestion(ask):
    worlds = Worlds(tiny.encoder())
    worlds.add(tiny.SPECS["votes"])
    with pytest.raises(UnknownNameError, match="unknown world 'ferpluss': did you mean 'ferplus'"):
        ask(worlds, "ferpluss")
    with pytest.raises(UnknownNameError, match="unknown world 'ferpluss'"):
        worlds.predict(tiny.pixels(), "ferplus", "ferpluss")


def test_an_unknown_scheme_is_refused():
    with pytest.raises(UnknownNameError, match="unknown scheme 'dll': did you mean 'dl'"):
        Worlds(tiny.encoder()).add(tiny.SPECS["votes"], "dll")


def test_the_seed_and_the_name_choose_the_head_and_leave_the_global_generator_alone():
    def made(seed, kind="votes"):
        return World(tiny.SPECS[kind], tiny.encoder(), "dl", True, tiny.small(), seed)

    state = torch.get_rng_state()
    prints = [made(0), made(0), made(1), made(0, "categorical")]
    assert torch.equal(torch.get_rng_state(), state)
    same, again, other_seed, other_name = (world.sha256() for world in prints)
    assert same == again
    assert len({same, other_seed, other_name}) == 3
    start = tiny.frozen_copy(prints[0])
    assert {name.split(".")[0] for name in tiny.moved(start, prints[2])} == {"head"}


@pytest.mark.parametrize(("scheme", "masked"), FORMS)
def test_a_saved_world_comes_back_with_the_same_outputs_and_hash(tmp_path, scheme, masked):
    encoder = tiny.encoder(norm=True)
    world = World(tiny.SPECS["votes"], encoder, scheme, masked, tiny.small(tiny.PAPER), seed=3)
    fresh = world.sha256()
    train(world)
    world.save(tmp_path / "deep" / "world", epochs=2)
    x, _ = tiny.batch(encoder, level=world.level)
    torch.manual_seed(99)
    again = World.load(tmp_path / "deep" / "world", tiny.encoder(norm=True))
    assert again.sha256() == world.sha256() != fresh
    assert torch.equal(again.predict(x), world.predict(x))
    assert (again.spec, again.settings, again.scheme, again.level) == (world.spec, world.settings, scheme, world.level)
    about = json.loads((tmp_path / "deep" / "world" / "world.json").read_text())
    assert about["encoder"] == {"name": "tiny", "fingerprint": encoder.fingerprint()}
    assert about["trained_on"] == {"epochs": 2}
    assert sorted(p.name for p in (tmp_path / "deep" / "world").iterdir()) == ["weights.safetensors", "world.json"]


def test_all_worlds_are_saved_and_each_loaded_by_its_folder(tmp_path):
    worlds, again = house(), Worlds(tiny.encoder(norm=True))
    worlds.save(tmp_path)
    for name in worlds:
        again.load(tmp_path / name)
    assert [*again] == [*worlds]
    assert [world.sha256() for world in again.values()] == [world.sha256() for world in worlds.values()]
    with pytest.raises(WorldError, match="world 'dl' exists already"):
        again.load(tmp_path / "dl")


def test_a_world_of_another_encoder_cannot_be_loaded(tmp_path):
    World(tiny.SPECS["votes"], tiny.encoder(), "dl", True, tiny.small()).save(tmp_path)
    with pytest.raises(WorldError, match=r"was made for encoder tiny \([0-9a-f]{12}\), not for tiny \([0-9a-f]{12}\)"):
        World.load(tmp_path, tiny.encoder(1))


described, text, weights, tensors, gone = tiny.described, tiny.text, tiny.weights, tiny.tensors, tiny.gone


def settings_with(**changes):
    return described(settings={**tiny.small().to_json(), **changes})


def spec_with(**changes):
    return described(task={**tiny.SPECS["votes"].to_json(), **changes})


class Marker:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


PRINT = tiny.encoder(norm=True).fingerprint()
DAMAGE = {
    "no description": (gone("world.json"), "no world in .*: world.json is missing"),
    "no weights": (gone("weights.safetensors"), "no world in .*: weights.safetensors is missing"),
    "a folder as description": (gone("world.json", folder_instead=True), "is damaged: "),
    "a folder as weights": (gone("weights.safetensors", folder_instead=True), "is damaged: "),
    "empty description": (text(b""), "is damaged: "),
    "garbage": (text(b"\xff\xfe{"), "is damaged: "),
    "half a description": (text(b'{"format": "ciao_stream/world/1", '), "is damaged: "),
    "deep nesting": (text(b"[" * 100_000), "is damaged: "),
    "a number of 5000 digits": (text(b"1" * 5000), "is damaged: |expected format"),
    "a list": (text(b"[1, 2]"), "world.json: expected format ciao_stream/world/1 but got list"),
    "null": (text(b"null"), "expected format ciao_stream/world/1 but got None"),
    "another format": (described(format="ciao_stream/world/2"), "world/1 but got str 'ciao_stream/world/2'"),
    **{
        f"no {name}": (described(**{name: ...}), f"is damaged: world.json lacks {name}")
        for name in ("task", "scheme", "masked", "encoder", "settings", "sha256")
    },
    **{
        f"encoder {value}": (described(encoder=value), "an encoder's name and fingerprint, and masked, but got")
        for value in (None, [], "tiny", {}, {"name": "tiny"}, {"fingerprint": PRINT}, {"name": 1, "fingerprint": 2})
    },
    **{f"scheme {value}": (described(scheme=value), "unknown scheme") for value in ("ld", None, 3, ["dl"], {})},
    **{f"masked {value}": (described(masked=value), "masked") for value in (None, 1, "yes")},
    "masked recorded as false": (described(masked=False), "weights do not fit: .*Unexpected key.*mask.raw_a"),
    "another recorded scheme": (described(scheme="lc"), "weights do not fit: .*Missing key.*last"),
    **{f"task {value}": (described(task=value), "not a task specification") for value in (None, [], "fer", {})},
    "labels of another number": (spec_with(labels=["calm", "glad"]), "weights do not fit: .*size mismatch"),
    "labels as a text": (spec_with(labels="abc"), "not a task specification"),
    "unknown kind": (spec_with(kind="vote"), "unknown kind of target 'vote': did you mean 'votes'"),
    "a name outside": (spec_with(name="../../fer"), "a folder cannot have this name"),
    **{f"settings {value}": (described(settings=value), "settings: expected") for value in (None, [], "paper")},
    "unknown setting": (settings_with(temprature=1.0), "unknown setting 'temprature'"),
    "unknown head setting": (settings_with(head={"width": 3}), "unknown setting 'head.width'"),
    "rate as text": (settings_with(lr="fast"), "settings: lr: expected a number > 0 but got 'fast'"),
    "a head beyond memory": (settings_with(head={"hidden": [10**13]}), "weights do not fit"),
    "a head beyond numbers": (settings_with(head={"hidden": [10**30]}), "weights do not fit"),
    "another hash": (described(sha256="0" * 64), "its weights do not have the recorded sha256"),
    "hash null": (described(sha256=None), "its weights do not have the recorded sha256"),
    "missing key": (tensors(lambda s: s.pop("mask.raw_a")), "weights do not fit: .*Missing key.*mask.raw_a"),
    "extra key": (tensors(lambda s: s.update(x=torch.ones(1))), "weights do not fit: .*Unexpected key.*x"),
    "another shape": (tensors(lambda s: s.update({"mask.raw_a": torch.ones(7)})), "weights do not fit: .*size"),
    "another type": (tensors(lambda s: s.update({k: v.half() for k, v in s.items()})), "recorded sha256"),
    "truncated weights": (weights(lambda b: b[:-10]), "is damaged: "),
    "truncated header": (weights(lambda b: b[:50]), "is damaged: "),
    "empty weights": (weights(lambda _: b""), "is damaged: "),
    "flipped byte": (weights(lambda b: b[:-5] + bytes([b[-5] ^ 1]) + b[-4:]), "recorded sha256"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_world_is_refused_in_one_line_and_changes_nothing(tmp_path, damage):
    worlds = Worlds(tiny.encoder(norm=True))
    World(tiny.SPECS["votes"], worlds.encoder, "dl", True, tiny.small()).save(tmp_path)
    change, message = DAMAGE[damage]
    change(tmp_path)
    with pytest.raises(CiaoError, match=message) as caught:
        worlds.load(tmp_path)
    assert "\n" not in str(caught.value)
    assert not worlds


@pytest.mark.parametrize("write", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))])
def test_a_pickle_in_place_of_the_weights_is_refused_and_not_run(tmp_path, write):
    World(tiny.SPECS["votes"], tiny.encoder(), "dl", True, tiny.small()).save(tmp_path)
    write({"mask.raw_a": Marker(tmp_path / "ran")}, tmp_path / "weights.safetensors")
    with pytest.raises(WorldError, match="is damaged: "):
        World.load(tmp_path, tiny.encoder())
    assert not (tmp_path / "ran").exists()


def test_predicting_in_several_worlds_runs_the_trunk_once_and_equals_each_world_on_cached_features(tmp_path):
    worlds, images, cache = house(), tiny.pictures(20), FeatureCache(tmp_path)
    for world in worlds.values():
        train(world, steps=1)
    encoder, calls = worlds.encoder, []
    levels = {level: torch.tensor(cache.get(images, encoder, level)) for level in ("pixels", "z", "u")}
    levels = {level: x if level == "pixels" else x.float() for level, x in levels.items()}
    encoder.trunk.register_forward_hook(lambda *_: calls.append(1))
    answers = worlds.predict(levels["pixels"])
    assert len(calls) == 1
    assert [*answers] == [*worlds]
    for world in worlds.values():
        assert torch.equal(answers[world.spec.name], world.predict(levels[world.level]))
    few = worlds.predict(levels["pixels"], "lc", "dl")
    assert list(few) == ["lc", "dl"]
    assert torch.equal(few["dl"], answers["dl"])


def test_predicting_changes_no_state():
    worlds = house()
    for world in worlds.values():
        world.train()
    before, generator = [*map(World.sha256, worlds.values()), worlds.encoder.fingerprint()], torch.get_rng_state()
    first, second = worlds.predict(tiny.pixels()), worlds.predict(tiny.pixels())
    assert [*map(World.sha256, worlds.values()), worlds.encoder.fingerprint()] == before
    assert torch.equal(torch.get_rng_state(), generator)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert worlds.active is worlds["dl"]


@pytest.mark.parametrize("name", [f"{scheme}{'+ciao' * masked}" for scheme, masked in FORMS])
def test_training_one_world_leaves_the_others_and_the_encoder_bit_identical(name):
    worlds = house()
    hashes = {world.spec.name: world.sha256() for world in worlds.values()}
    answers, fingerprint = worlds.predict(tiny.pixels()), worlds.encoder.fingerprint()
    train(worlds[name], steps=3)
    after = worlds.predict(tiny.pixels())
    assert {world.spec.name for world in worlds.values() if world.sha256() != hashes[world.spec.name]} == {name}
    assert {other for other in answers if not torch.equal(answers[other], after[other])} == {name}
    assert worlds.encoder.fingerprint() == fingerprint


def test_a_world_counts_the_parameters_that_it_trains():
    head = tiny.small(head=HeadSettings("mean", "none", (), 0.0), rank=2)
    counts = {form: World(tiny.SPECS["votes"], tiny.encoder(), *form, head).parameter_count() for form in FORMS}
    last, trunk, decision, mask = 6 * 4 * 9 + 6, 4 * 9 + 4 + 8, 6 * 3 + 3, 6 * 4 * 9 + 6 + 6
    beside = {"dl": 0, "lc": last, "full": trunk + last, "bitfit": 6, "ia3": 6, "lora": 2 * (4 * 9 + 6)}
    assert counts == {(scheme, masked): decision + beside[scheme] + masked * mask for scheme, masked in FORMS}
