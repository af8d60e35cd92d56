"""Files in ``tests/older``, from the version with losses on faces without a label, still load."""

import json
import shutil
from pathlib import Path

import pytest

from ciao_stream.exceptions import CiaoError
from ciao_stream.runtime.run_folder import claim
from ciao_stream.stream.learner.checkpoint import Checkpoints
from ciao_stream.worlds.world import World
from tests.helpers import tiny
from tests.helpers.stream_events import QUICK, Stream, apply, shared

OLDER = Path(__file__).parents[1] / "older"
SETTINGS = tiny.small(mask="ciao")
TOLD = "setting unlabelled=consistency was removed: learning from faces without a label gained nothing"


def test_a_world_predicts_and_a_learner_goes_on_and_says_once_what_was_removed(tmp_path):
    world = World.load(OLDER / "fer", shared())
    assert world.settings == SETTINGS
    shutil.copy(OLDER / "learner.checkpoint", tmp_path / "000000001_1700000000002-1.checkpoint")
    restored = Checkpoints(tmp_path).load(shared())
    assert restored.incidents == (TOLD,)
    online = restored.learner
    assert online.settings == QUICK
    assert online.of("fer").world.sha256() == world.sha256()
    stream = Stream()
    stream.n = online.n_applied
    apply(online, stream.frames(tiny.SPECS["categorical"], 8))
    assert online.of("fer").counts["steps"] == 3
    Checkpoints(tmp_path).save(online)
    assert Checkpoints(tmp_path).load(shared()).incidents == ()


def test_a_run_resumes_unless_it_learned_from_faces_without_a_label(tmp_path):
    now = {"settings": {"fer": SETTINGS.to_json()}}
    then = json.loads((OLDER / "fer/world.json").read_text())["settings"]
    for term in ("none", "consistency"):
        plan = {"changes": {"unlabelled": term}}
        claim(tmp_path / term, {"settings": {"fer": then | {"unlabelled": term}}}, plan, resume=False)
    claim(tmp_path / "none", now, {"changes": {}}, resume=True)
    with pytest.raises(CiaoError, match=f"run.json: {TOLD}; choose another --out"):
        claim(tmp_path / "consistency", now, {}, resume=True)
