"""Dead letters: what is kept of refused messages, and how much."""

from ciao_stream.stream.log.dead import DEAD_BYTES, dead_letters
from ciao_stream.stream.log.log import FrameLog
from tests.helpers.stream_messages import frame


def test_a_dead_letter_is_kept_once_with_its_reason_and_content(appender, log, names, client):
    bad = frame(label="angry")
    position = appender.append(bad)
    for _ in range(3):
        log.dead_letter(position, "bad_label", "no such label: ärger", bad)
    (letter,) = dead_letters(log.address, log.names)
    assert (letter.position, letter.reason, letter.message) == (position, "bad_label", "no such label: ärger")
    assert letter.fields == bad
    assert letter.whole
    assert letter.n_bytes == sum(map(len, bad.values()))
    assert client.xlen(names.dead) == 1


def test_a_large_dead_letter_keeps_its_header_and_the_beginning_of_its_image(log):
    bad = {**frame(), b"image": bytes(3 * DEAD_BYTES), b"empty": b""}
    log.dead_letter("5-0", "corrupt", "text", bad)
    (letter,) = dead_letters(log.address, log.names)
    assert not letter.whole
    assert letter.fields[b"header"] == bad[b"header"]
    assert DEAD_BYTES - 1000 < len(letter.fields[b"image"]) <= DEAD_BYTES
    assert letter.n_bytes > 3 * DEAD_BYTES
    assert len(letter.sha256) == 64


def test_a_dead_letter_keeps_a_bounded_number_of_fields(log):
    log.dead_letter("5-0", "bad_header", "text", {b"%05d" % n + bytes(1000): b"" for n in range(1000)})
    (letter,) = dead_letters(log.address, log.names)
    assert sum(map(len, letter.fields)) <= DEAD_BYTES


def test_dead_letters_are_many_pages_and_bounded(server, names):
    log = FrameLog(server.address, names, max_dead=200)
    for number in range(1, 501):
        log.dead_letter(f"{number}-0", "corrupt", "text", {})
    kept = [letter.position for letter in dead_letters(log.address, log.names)]
    assert kept == [f"{number}-0" for number in range(501 - len(kept), 501)]
    assert 200 <= len(kept) < 400, "whole nodes are cut"
    log.close()


def test_there_may_be_no_dead_letters(log):
    assert list(dead_letters(log.address, log.names)) == []
