from __future__ import annotations

import os
import stat
import traceback
from pathlib import Path

import pytest

from agcod_async import (
    ConfigurationError,
    Credentials,
    CredentialsUnavailable,
    FileCredentials,
    ProfileCredentials,
)
from agcod_async.credentials import file as module
from tests.support.leaks import SENSITIVE

pytestmark = pytest.mark.reveals("files", because="the key pair is in the file that it is read from")

OLD = Credentials("AKIDOLD", "canary-secret-key-old")
NEW = Credentials("AKIDNEW", "canary-secret-key-new")
posix_only = pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")


def document(pair: Credentials) -> str:
    secret = pair.secret_access_key.reveal()
    return f'{{"access_key_id": "{pair.access_key_id}", "secret_access_key": "{secret}"}}'


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.fixture
def path(tmp_path):
    """A file with the old pair, for its owner alone."""
    return write(tmp_path / "key.json", document(OLD))


def replaced(path: Path) -> None:
    write(path.with_suffix(".new"), document(NEW)).replace(path)


def overwritten(path: Path) -> None:
    path.write_text(document(NEW))


def overwritten_with_the_same_times(path: Path) -> None:
    before = path.stat()
    path.write_text(document(NEW))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_mtime_ns, path.stat().st_size) == (before.st_mtime_ns, before.st_size)


def removed_and_written(path: Path) -> None:
    path.unlink()
    write(path, document(NEW))


def another_folder_linked(path: Path) -> None:
    """Kubernetes swaps a link to a whole folder."""
    write(path.with_suffix(".new"), document(NEW))
    link = path.with_suffix(".link")
    link.symlink_to(path.with_suffix(".new"))
    link.replace(path)


@pytest.mark.parametrize(
    "change",
    [
        replaced,
        overwritten,
        overwritten_with_the_same_times,
        removed_and_written,
        pytest.param(another_folder_linked, marks=posix_only),
    ],
)
async def test_every_way_to_change_the_file_is_noticed(path, change):
    """Rotation tools differ; the one that is not noticed ends in refused rewards."""
    provider = FileCredentials(path)
    assert await provider.get_credentials() == OLD
    change(path)
    assert await provider.get_credentials() == NEW


async def test_a_profile_is_read_from_its_file(tmp_path):
    """Whoever keeps keys for the AWS tools keeps this one beside them."""
    text = "[agcod]\naws_access_key_id = AKIDOLD\naws_secret_access_key = canary-secret-key-old\n"
    provider = ProfileCredentials("agcod", write(tmp_path / "credentials", text))
    assert await provider.get_credentials() == OLD
    assert repr(provider) == f"ProfileCredentials('agcod', {str(provider.path)!r})"


@posix_only
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o602, 0o777])
def test_a_file_that_others_can_open_is_refused(path, mode):
    """Everybody with an account on the machine could spend the money; the message is the fix."""
    path.chmod(mode)
    with pytest.raises(
        ConfigurationError, match=rf"others have access \(mode {mode:04o}\): chmod 600 {path}"
    ):
        FileCredentials(path).load()
    path.chmod(0o600)
    assert FileCredentials(path).load() == OLD


@posix_only
def test_the_fix_can_be_pasted(tmp_path):
    """Whatever the file is called."""
    path = write(tmp_path / "my key; rm.json", document(OLD), 0o644)
    with pytest.raises(ConfigurationError, match=rf"chmod 600 '{path}'"):
        FileCredentials(path).load()


def test_the_mode_may_be_none_of_ones_business(path, monkeypatch):
    """Kubernetes chooses the mode of what it mounts, and Windows has none."""
    path.chmod(0o644)
    assert FileCredentials(path, check_mode=False).load() == OLD
    monkeypatch.setattr(module, "_IS_POSIX", False)
    assert FileCredentials(path).load() == OLD


def empty(path: Path) -> None:
    path.write_text("")


def half_written(path: Path) -> None:
    path.write_text(document(NEW)[:-10])


def far_too_large(path: Path) -> None:
    path.write_text(document(NEW) + 70_000 * " ")


def missing(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (empty, "it is empty"),
        (half_written, "no valid JSON"),
        (far_too_large, "too large for a key pair"),
        (missing, "No such file or directory"),
    ],
)
async def test_a_file_without_a_pair(path, spoil, says):
    """It may be there a moment later, so trying again makes sense; what the file holds is not repeated."""
    spoil(path)
    with pytest.raises(CredentialsUnavailable, match=says) as caught:
        await FileCredentials(path).get_credentials()
    assert str(path) in str(caught.value)
    assert (caught.value.outcome, caught.value.is_retry_safe) == ("not_sent", True)
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert SENSITIVE.search(shown) is None


@pytest.mark.parametrize("kind", ["folder", pytest.param("pipe", marks=posix_only)])
def test_what_is_no_file_is_refused_at_once(tmp_path, kind):
    """A pipe would keep a thread waiting for its other end."""
    path = tmp_path / kind
    if kind == "folder":
        path.mkdir(0o700)
    else:
        os.mkfifo(path, 0o600)
    with pytest.raises((ConfigurationError, CredentialsUnavailable)) as caught:
        FileCredentials(path).load()
    assert os.name != "posix" or "no regular file" in str(caught.value)


def test_the_mode_is_that_of_the_file_that_is_read(path, monkeypatch):
    """It is asked of the open file: a name may lead elsewhere between a look and a read."""
    opened: list[int] = []
    monkeypatch.setattr(module.os, "stat", lambda *_: pytest.fail("asked by name"))
    fstat = os.fstat
    monkeypatch.setattr(module.os, "fstat", lambda descriptor: opened.append(descriptor) or fstat(descriptor))
    assert FileCredentials(path).load() == OLD
    assert len(opened) == 1
    with pytest.raises(OSError, match="Bad file descriptor"):
        fstat(opened[0])


def test_a_file_shows_where_it_is():
    """And nothing of what is in it."""
    assert repr(FileCredentials("key.json")) == "FileCredentials('key.json')"


@pytest.mark.parametrize("age", [-1, float("nan"), None, "5"])
def test_an_age_that_is_none_is_refused(age):
    """Never and always are 'inf' and 0."""
    with pytest.raises(ConfigurationError, match="max_age: seconds of at least 0"):
        FileCredentials("key.json", max_age=age)


def test_modes_are_what_these_tests_think(path):
    """On a file system without modes the tests above would test nothing."""
    assert os.name != "posix" or stat.S_IMODE(path.stat().st_mode) == 0o600
