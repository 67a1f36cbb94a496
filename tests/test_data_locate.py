"""Where data is looked for, in which order, and what happens when it must be fetched. Nothing leaves this machine."""

import errno
import functools
import hashlib
import http.server
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from actlab import _language
from actlab.data import _debian, _download, _fashion, _locate
from actlab.data._idx import read_idx, sha256
from actlab.data._locate import SAMPLE
from actlab.data.images import available, load, locate
from actlab.errors import ActlabError, UnknownName


@pytest.fixture(autouse=True)
def bare_machine(tmp_path, monkeypatch):
    """No ACTLAB_DATA, an empty cache, no Debian package, no network; the sample passes for Fashion-MNIST."""
    _language.choose("en")
    monkeypatch.delenv("ACTLAB_DATA", raising=False)
    monkeypatch.setattr(_locate, "cache", lambda: tmp_path / "cache")
    monkeypatch.setattr(_debian, "INSTALLED", tmp_path / "usr/share/datasets/fashion-mnist")
    monkeypatch.setattr(_locate, "download", lambda folder: "the download failed (Test)")
    monkeypatch.setattr(_debian, "can_unpack", lambda: False)
    for name in _fashion.KNOWN:
        content = sha256(read_idx(SAMPLE / name, dimensions=3 if "images" in name else 1))
        monkeypatch.setitem(_fashion.KNOWN, name, _fashion.Known(content, _file_sha256(SAMPLE / name)))
    yield
    _language.choose(None)


def _file_sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def put(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in _fashion.KNOWN:
        shutil.copy(SAMPLE / name, folder)
    return folder


def test_order_of_places(tmp_path, monkeypatch):
    installed = put(_debian.INSTALLED)
    assert locate() == installed
    cached = put(tmp_path / "cache/fashion-mnist")
    assert locate() == cached
    chosen = tmp_path / "chosen"
    below = put(chosen / "fashion-mnist")
    monkeypatch.setenv("ACTLAB_DATA", str(chosen))
    assert locate() == below
    put(chosen)
    assert locate() == chosen


def test_actlab_data_without_the_set_is_passed_over(tmp_path, monkeypatch):
    cached = put(tmp_path / "cache/fashion-mnist")
    (tmp_path / "other").mkdir()
    monkeypatch.setenv("ACTLAB_DATA", str(tmp_path / "other"))
    assert locate() == cached


def test_actlab_data_that_is_no_folder(monkeypatch):
    monkeypatch.setenv("ACTLAB_DATA", "/no/such/folder")
    with pytest.raises(ActlabError, match="expected ACTLAB_DATA to name a folder; there is none at '/no/such/folder'"):
        locate()


def test_cache_is_that_of_the_user(tmp_path, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert _locate.cache() == tmp_path / "actlab"


def test_a_damaged_place_is_named_not_passed_over(tmp_path, monkeypatch):
    put(tmp_path / "cache/fashion-mnist")
    damaged = put(tmp_path / "chosen") / "t10k-labels-idx1-ubyte.gz"
    damaged.write_bytes(b"")
    monkeypatch.setenv("ACTLAB_DATA", str(tmp_path / "chosen"))
    with pytest.raises(ActlabError, match=f"'{damaged}' is empty"):
        load()


def test_unknown_name():
    with pytest.raises(UnknownName, match="no data set 'fashion_mnist'; did you mean 'fashion-mnist'"):
        locate("fashion_mnist")


def test_sample_needs_nothing():
    assert locate("sample") == SAMPLE
    assert len(load("sample").test) == 1000


def test_without_fetch_nothing_is_fetched():
    with pytest.raises(
        ActlabError, match="fashion-mnist is not on this machine; allow the download, or use '--data sample'"
    ):
        locate(fetch=False)


def test_with_neither_source_one_sentence_says_what_was_tried(tmp_path):
    with pytest.raises(ActlabError) as caught:
        locate()
    assert str(caught.value) == (
        "Fashion-MNIST is not on this machine: the download failed (Test); '--data sample' works offline"
    )
    assert list((tmp_path / "cache").iterdir()) == []


def test_available(tmp_path):
    full, sample = available()
    assert (full.name, full.found, full.size_bytes) == ("fashion-mnist", None, 30_878_645)
    assert (sample.name, sample.found, sample.licence) == ("sample", SAMPLE, "MIT")
    assert sample.size_bytes < 2_000_000
    cached = put(tmp_path / "cache/fashion-mnist")
    assert available()[0].found == cached


# Download, from a server on this machine


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A folder that a local web server shows, in the place of the public source."""
    folder = put(tmp_path / "served")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(_download, "URL", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setattr(_locate, "download", _download.download)
    yield folder
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("terminal", [False, True])
def test_download_fills_the_cache_in_one_step(served, tmp_path, monkeypatch, capsys, terminal):
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal, raising=False)
    assert locate() == tmp_path / "cache/fashion-mnist"
    assert {path.name: path.read_bytes() for path in locate().iterdir()} == {
        path.name: path.read_bytes() for path in served.iterdir()
    }
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["fashion-mnist"]
    assert capsys.readouterr().out == ""


def test_download_of_other_bytes_is_refused(served, tmp_path):
    (served / "t10k-images-idx3-ubyte.gz").write_bytes(b"<html>please log in</html>")
    with pytest.raises(ActlabError, match=r"failed \(wrong checksum\); '--data sample' works offline"):
        locate()
    assert list((tmp_path / "cache").iterdir()) == []


def test_download_of_nothing(served, tmp_path):
    (served / "train-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(ActlabError, match=r"failed \(HTTPError\)"):
        locate()


def test_interrupted_download_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(folder):
        (folder / "train-images-idx3-ubyte.gz").write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(_locate, "download", interrupt)
    with pytest.raises(KeyboardInterrupt):
        locate()
    assert list((tmp_path / "cache").iterdir()) == []


def test_two_at_once_both_get_it(tmp_path, monkeypatch):
    def while_another_finishes(folder):
        put(folder)
        put(tmp_path / "cache/fashion-mnist")
        return ""

    monkeypatch.setattr(_locate, "download", while_another_finishes)
    assert locate() == tmp_path / "cache/fashion-mnist"
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["fashion-mnist"]


def test_cache_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(
        ActlabError, match=r"cannot write to the cache '.*cache' \(.*\); set ACTLAB_DATA or XDG_CACHE_HOME"
    ):
        locate()


def test_full_disk_is_told_as_such(monkeypatch):
    def fill(folder):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(_locate, "download", fill)
    with pytest.raises(ActlabError, match="No space left on device"):
        locate()


# Debian's package, with the three commands faked


@pytest.fixture
def debian(monkeypatch):
    """Records the commands; `dpkg-deb` "unpacks" the sample. Set `fail` to the word after which a command fails."""
    state = {"commands": [], "fail": None, "configuration": ""}

    def run(command, *, cwd, env, **_):
        state["commands"].append(command)
        assert env["LC_ALL"] == "C"
        if state["fail"] in command:
            return subprocess.CompletedProcess(command, 100, "", "W: careful\nE: Unable to locate package\nE: more\n")
        if "download" in command:
            state["configuration"] = Path(command[command.index("-c") + 1]).read_text()
            (cwd / "dataset-fashion-mnist_1_all.deb").write_bytes(b"deb")
        if command[0] == "dpkg-deb":
            put(Path(command[-1]) / _debian.INSTALLED.relative_to("/"))
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(_debian, "can_unpack", lambda: True)
    monkeypatch.setattr(_debian.subprocess, "run", run)
    return state


def test_debian_package_is_unpacked_when_the_download_fails(debian, tmp_path, capsys):
    target = tmp_path / "cache/fashion-mnist"
    assert locate() == target
    assert {path.name for path in target.iterdir()} == set(_fashion.KNOWN)
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["fashion-mnist"]
    assert [command[0] for command in debian["commands"]] == ["apt-get", "apt-get", "dpkg-deb"]
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and "unpacking Debian's package dataset-fashion-mnist" in said[0] and str(target) in said[0]


def test_apt_writes_into_private_folders_only(debian, tmp_path):
    locate()
    settings = dict(line.rstrip(";").split(maxsplit=1) for line in debian["configuration"].splitlines() if line)
    for key in ("Dir::State::lists", "Dir::Cache", "Dir::Log"):
        assert settings[key].startswith(f'"{tmp_path}/cache/.fashion-mnist-')
    assert settings["APT::Sandbox::User"] == '"root"'
    assert "#clear APT::Update::Post-Invoke;" in debian["configuration"]


@pytest.mark.parametrize("step", ["update", "download", "-x"])
def test_debian_failing_names_both_sources(debian, tmp_path, step):
    debian["fail"] = step
    with pytest.raises(ActlabError) as caught:
        locate()
    text = str(caught.value)
    assert "the download failed (Test), and Debian's package did not come (" in text
    assert (
        "E: Unable to locate package)" in text and text.endswith("'--data sample' works offline") and "\n" not in text
    )
    assert list((tmp_path / "cache").iterdir()) == []


def test_damaged_package_never_reaches_the_cache(debian, tmp_path, monkeypatch):
    monkeypatch.setitem(_fashion.KNOWN, "train-labels-idx1-ubyte.gz", _fashion.Known("0" * 64, ""))
    with pytest.raises(ActlabError, match="wrong checksum"):
        locate()
    assert list((tmp_path / "cache").iterdir()) == []
