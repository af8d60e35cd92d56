"""``data weights`` lists third-party weights and fetches one."""

import argparse

import pytest
from safetensors.torch import save_file

from ciao_stream.data import weights as weights_command
from ciao_stream.encoders.weights import manifest, weights_path
from tests.helpers.http_server import Site, serving
from tests.helpers.weights_files import BODY, TENSORS, fetched


def command(*argv):
    """Run the command in this process."""
    parser = argparse.ArgumentParser()
    weights_command.add_parser(parser.add_subparsers(dest="command"))
    return weights_command.main(parser.parse_args(["weights", *map(str, argv)]))


@pytest.fixture
def offered(only_tiny):
    """A server with the file, and the address of the file, which is the only entry of the manifest."""
    site = Site(BODY)
    with serving(site) as url:
        only_tiny(url=url, megabytes=3, note="mind the gap")
        yield site, url


def test_the_list_shows_every_entry_and_which_are_encoders(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("CIAO_WEIGHTS", str(tmp_path))
    assert command() == 0
    shown = capsys.readouterr().out
    for known in ("vggface", "hsemotion-b0", "facenet-vggface2", "facenet-casia", "msceleb-resnet18", "clip-vit-b32",
                  "clip-vit-b16", "farl-b16", "facechannel", "112 MB", "16 MB", "unknown"):  # fmt: skip
        assert known in shown
    lines = [line.split(maxsplit=1)[1] for line in shown.splitlines() if "--encoder" in line]
    encoders = dict(zip(manifest.names(), lines, strict=True))
    others = {name: line for name, line in encoders.items() if line != f"weights:{name}"}
    assert [*others] == ["facenet-vggface2", "facenet-casia", "facechannel"]
    assert others["facechannel"] == "none: ciao_stream cannot read h5 in tar.xz"


@pytest.mark.usefixtures("offered")
def test_the_list_shows_the_state_of_a_file(tmp_path, capsys):
    assert command() == 0
    fetched(Site(BODY), tmp_path)
    assert command() == 0
    (tmp_path / "tiny" / "weights.bin").write_bytes(b"damaged")
    assert command() == 0
    shown = capsys.readouterr().out
    rows = [line for line in shown.splitlines() if line.startswith("tiny")]
    assert [" ".join(row.split()[3:-1]) for row in rows] == ["not here", "here", "changed"]
    assert rows[0].split()[:3] == ["tiny", "3", "MB"]
    assert "    licence     CC0\n    trained on  nobody\n" in shown


@pytest.mark.usefixtures("offered")
def test_the_command_shows_the_licence_and_fetches(tmp_path, capsys):
    here = f"tiny is here: {tmp_path}/tiny/weights.bin\n"
    assert command("tiny") == 0
    out = capsys.readouterr()
    for line in ("licence: CC0", "trained on: nobody", "note: mind the gap", here):
        assert line in out.out
    assert "tiny (MB)" in out.err
    assert "3/3" in out.err
    assert command("tiny") == 0
    assert capsys.readouterr().out == here


@pytest.mark.usefixtures("offered")
def test_the_command_keeps_files_in_the_given_folder(tmp_path, capsys):
    assert command("tiny", "--to", tmp_path / "elsewhere") == 0
    assert (tmp_path / "elsewhere" / "tiny" / "weights.bin").read_bytes() == BODY
    assert f"CIAO_WEIGHTS={tmp_path}/elsewhere" in capsys.readouterr().out
    (tmp_path / "taken").write_text("a file")
    assert command("tiny", "--to", tmp_path / "taken") == 2
    assert capsys.readouterr().err.startswith("error: cannot write in ")


def test_the_command_copies_a_given_file(only_tiny, tmp_path, capsys):
    only_tiny(url=None, sha256=None, format="safetensors")
    given = tmp_path / "mine.safetensors"
    save_file(TENSORS, given)
    assert command("tiny") == 2
    assert "run python -m ciao_stream.data weights tiny --file weights.bin" in capsys.readouterr().err
    assert command("tiny", "--file", given) == 0
    assert weights_path("tiny").read_bytes() == given.read_bytes()
    assert command("--file", given) == 2
    assert "--file needs the NAME" in capsys.readouterr().err


def test_an_unknown_name_is_refused_with_a_suggestion(capsys):
    assert command("facenet-casio") == 2
    assert "did you mean 'facenet-casia'" in capsys.readouterr().err


@pytest.mark.parametrize(("options", "variable"), [(["--offline"], ""), ([], "1")], ids=["option", "environment"])
def test_offline_never_uses_the_network(offered, tmp_path, capsys, monkeypatch, options, variable):
    site, url = offered
    monkeypatch.setenv("CIAO_OFFLINE", variable)
    assert command("tiny", *options) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: offline, and {tmp_path}/tiny/weights.bin is missing: run python -m ")
    assert url in error
    fetched(Site(BODY), tmp_path)
    assert command("tiny", *options) == 0
    assert site.seen == []
