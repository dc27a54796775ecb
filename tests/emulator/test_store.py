"""The file that survives a restart."""

import stat

import pytest

from agcod_async.emulator import Emulator
from agcod_async.emulator.store import StateFile

from . import foreign


def _save(emulator, path):
    file = StateFile(path)
    file.write(file.changes(emulator.state))


def test_the_books_survive_a_restart(emulator, clock, tmp_path):
    """The same id is the same card with the same code, and the money is still gone."""
    path = tmp_path / "state.json"
    _, card = foreign.ask(emulator, "CreateGiftCard", foreign.create_fields("Acme1a"))
    _save(emulator, path)
    restarted = Emulator(clock=clock, throttle=None, seed=99)
    StateFile(path).load(restarted.state)
    assert foreign.ask(restarted, "CreateGiftCard", foreign.create_fields("Acme1a"))[1] == card
    assert restarted.partner.funds == emulator.partner.funds


def test_the_file_is_its_owners_alone_and_holds_no_secret(emulator, tmp_path):
    """Mode 0600; the claim code is not in it; nothing else is left in the folder."""
    path = tmp_path / "state.json"
    for _ in range(2):
        _, card = foreign.ask(emulator, "CreateGiftCard", foreign.create_fields("Acme1a"))
        _save(emulator, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert card["gcClaimCode"] not in path.read_text()
    assert emulator.partner.secret_access_key not in path.read_text()
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_is_written_when_nothing_happened(emulator, tmp_path):
    """The books are compared by what has happened since they were asked for."""
    file = StateFile(tmp_path / "state.json")
    file.load(emulator.state)
    foreign.ask(emulator, "CreateGiftCard", foreign.create_fields("Acme1a"))
    assert file.changes(emulator.state)
    assert file.changes(emulator.state) is None
    emulator.claim("Acme1a")
    file.write(file.changes(emulator.state))
    again = StateFile(tmp_path / "state.json")
    again.load(emulator.state)
    assert again.changes(emulator.state) is None


def test_a_file_that_is_none_is_an_error(emulator, tmp_path):
    """Rather than an empty gateway where a full one was."""
    path = tmp_path / "state.json"
    path.write_text('{"cards": 7}')
    with pytest.raises(ValueError, match="cards"):
        StateFile(path).load(emulator.state)
