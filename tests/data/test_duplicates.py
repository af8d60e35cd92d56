"""Duplicates are found as if every pair were compared, and two different faces are no duplicates."""

import itertools

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.datasets import fer
from ciao_stream.data.check.duplicates import CORRELATION, RADIUS, correlation, find_duplicates, near_pairs
from ciao_stream.data.check.scan import SUMMARY, THUMBNAIL, summarise
from tests.helpers import real_data

real_faces = real_data.real_faces


def bits(value):
    return bin(int(value)).count("1")


# --- hashes ----------------------------------------------------------------------------------------------------------


@st.composite
def hashes_near_each_other(draw):
    """A few hashes, and copies of them with some bits flipped: many distances on both sides of the radius."""
    bases = draw(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=4))
    copies = draw(st.lists(st.tuples(st.sampled_from(bases), st.sets(st.integers(0, 63), max_size=14)), max_size=24))
    return np.array([*bases, *(base ^ sum(1 << bit for bit in flips) for base, flips in copies)], dtype=np.uint64)


@settings(max_examples=40, deadline=None)
@given(
    hashes=hashes_near_each_other(),
    radius=st.sampled_from([0, 1, 3, 5, RADIUS]),
    at_once=st.sampled_from([1, 7, 10**6]),
)
def test_the_bands_find_what_comparing_all_pairs_finds(hashes, radius, at_once):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ciao_stream.data.check.duplicates.PAIRS_AT_ONCE", at_once)
        found = [
            pair for chunk in near_pairs(hashes, radius) for pair in zip(*(c.tolist() for c in chunk), strict=True)
        ]
    pairs = itertools.combinations(range(len(hashes)), 2)
    assert sorted(found) == [(i, j) for i, j in pairs if bits(hashes[i] ^ hashes[j]) <= radius]


def test_no_hashes_make_no_pairs():
    assert list(near_pairs(np.zeros(0, dtype=np.uint64))) == []


def test_one_bucket_is_worked_through_in_parts(monkeypatch):
    monkeypatch.setattr("ciao_stream.data.check.duplicates.PAIRS_AT_ONCE", 1000)
    sizes = [len(i) for i, _ in near_pairs(np.full(300, 5, dtype=np.uint64))]
    assert sum(sizes) == 300 * 299 // 2
    assert max(sizes) <= 1000


def test_the_correlation_is_numpys():
    rng = np.random.default_rng(0)
    thumbnails = rng.integers(0, 256, (40, THUMBNAIL**2), dtype=np.uint8)
    i, j = np.arange(39), np.arange(1, 40)
    expected = [np.corrcoef(thumbnails[a], thumbnails[b])[0, 1] for a, b in zip(i, j, strict=True)]
    np.testing.assert_allclose(correlation(thumbnails, i, j), expected, atol=1e-5)


# --- summaries --------------------------------------------------------------------------------------------------------


def drawing(seed, side=48):
    """A smooth random image, different from all others."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (8, 8)).astype(np.float32)
    return np.clip(cv2.resize(small, (side, side), interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)


def test_gray_in_three_channels_is_the_same_picture():
    gray = drawing(0)
    one, other = summarise(gray), summarise(np.stack([gray] * 3, axis=2))
    assert one == other
    assert not one["colour"]
    tinted = np.stack([gray, gray // 2, gray // 4], axis=2)
    assert summarise(tinted)["colour"]
    assert (one["width"], one["height"], one["readable"], one["flat"]) == (48, 48, True, False)


def test_equal_bytes_of_another_shape_are_another_picture():
    assert summarise(drawing(0))["digest"] != summarise(drawing(0).reshape(24, 96))["digest"]
    assert (summarise(drawing(0)[:30])["width"], summarise(drawing(0)[:30])["height"]) == (48, 30)


def test_a_picture_of_one_shade_is_flat():
    noise = np.random.default_rng(0).integers(99, 102, (48, 48), dtype=np.uint8)
    assert [bool(summarise(image)["flat"]) for image in (np.zeros((48, 48), np.uint8), noise, drawing(1))] == [1, 1, 0]


# --- duplicates ------------------------------------------------------------------------------------------------------


def made_summaries(draws):
    """Summaries of a few images: (digest, hash, thumbnail's seed, flat, readable) each."""
    summaries = np.zeros(len(draws), dtype=SUMMARY)
    for look, (digest, hash_, seed, flat, readable) in zip(summaries, draws, strict=True):
        base = np.random.default_rng(seed // 4).integers(0, 256, THUMBNAIL**2)
        noise = np.random.default_rng(seed).integers(-20, 21, THUMBNAIL**2)
        look["digest"], look["hash"], look["flat"], look["readable"] = digest, hash_, flat, readable
        look["thumbnail"] = np.clip(base + noise, 0, 255)
    return summaries


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_duplicates_are_those_of_a_definition_written_from_scratch(data):
    kind = st.tuples(
        st.sampled_from([0, 1, 2**20 - 1, 2**40]), st.integers(0, 7), st.sampled_from([False] * 4 + [True])
    )
    kinds = data.draw(st.lists(kind, min_size=1, max_size=6))
    chosen = data.draw(st.lists(st.integers(0, len(kinds) - 1), min_size=1, max_size=14))
    summaries = made_summaries([(kind, *kinds[kind], data.draw(st.integers(0, 9)) > 0) for kind in chosen])
    clips = np.array([data.draw(st.integers(-1, 1)) for _ in chosen], dtype=np.int64)
    found = find_duplicates(summaries, clips)

    def are_duplicates(p, q):
        a, b = summaries[p], summaries[q]
        if p == q or not (a["readable"] and b["readable"]) or (clips[p] >= 0 and clips[p] == clips[q]):
            return False
        if a["digest"] == b["digest"]:
            return True
        if a["flat"] or b["flat"] or bits(a["hash"] ^ b["hash"]) > RADIUS:
            return False
        return np.corrcoef(a["thumbnail"], b["thumbnail"])[0, 1] >= CORRELATION

    some = st.sets(st.sampled_from(range(len(summaries))), min_size=len(summaries) // 2)
    ids, among = (np.array(sorted(data.draw(some)), dtype=np.int64) for _ in range(2))
    expected = [(p, q) for p in ids.tolist() for q in among.tolist() if are_duplicates(p, q)]
    assert found.count(ids, among).tolist() == [sum(p == one for one, _ in expected) for p in ids.tolist()]
    exact = [(p, q) for p, q in expected if summaries[p]["digest"] == summaries[q]["digest"]]
    assert found.count(ids, among, near=False).tolist() == [sum(p == one for one, _ in exact) for p in ids.tolist()]
    listed = found.pairs(ids, among, 10**6)
    assert {frozenset(pair[:2]) for pair in listed} == {frozenset(pair) for pair in expected}
    assert len(listed) == len({frozenset(pair[:2]) for pair in listed})
    assert all((summaries[p]["digest"] == summaries[q]["digest"]) == (how == "same pixels") for p, q, how in listed)
    assert len(found.pairs(ids, among, 2)) == min(2, len(listed))


# --- real faces ------------------------------------------------------------------------------------------------------


def jpeg(face, quality):
    return cv2.imdecode(cv2.imencode(".jpg", face, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_GRAYSCALE)


def resized(face, *sides):
    for side in sides:
        face = cv2.resize(face, (side, side))
    return face


AGAIN = {
    "jpeg 75": lambda face: jpeg(face, 75),
    "jpeg 50": lambda face: jpeg(face, 50),
    "48 to 100 to 48": lambda face: resized(face, 100, 48),
    "48 to 224": lambda face: resized(face, 224),
    "darker": lambda face: np.clip(face * 0.8, 0, 255).astype(np.uint8),
    "brighter": lambda face: np.clip(face * 1.2, 0, 255).astype(np.uint8),
}


@pytest.fixture(scope="module")
def faces(real_faces):
    train = fer.load(real_faces).train
    images = [train.image(i) for i in range(200)]
    return [image for image in images if image.std() > 10]


@pytest.mark.parametrize("how", AGAIN)
def test_a_real_face_is_found_again(faces, how):
    summaries = np.array([summarise(image) for face in faces for image in (face, AGAIN[how](face))])
    found = find_duplicates(summaries, np.full(len(summaries), -1))
    again = [found.count(np.array([i]), np.array([i + 1]))[0] for i in range(0, len(summaries), 2)]
    assert sum(again) >= len(faces) * (0.96 if how == "brighter" else 1)
    assert len(faces) > 190


def test_two_real_faces_are_no_duplicates(faces):
    summaries = np.array([summarise(face) for face in faces])
    ids = np.arange(len(faces))
    pairs = find_duplicates(summaries, np.full(len(faces), -1)).pairs(ids, ids, 10**6)
    assert pairs == []
