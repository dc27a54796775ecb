from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given, strategies as st

from agcod_async import Credentials
from agcod_async.credentials.document import pair_in, profile_in
from tests.support.properties import examples

CREATED = datetime(2026, 1, 31, 12, tzinfo=UTC)
JSON = b'{"access_key_id": "AKIDEXAMPLE", "secret_access_key": "canary+secret/key", %b"more": 1}'
TOML = b'# from the portal\naccess_key_id = "AKIDEXAMPLE"\nsecret_access_key = "canary+secret/key"\n%b'
PROFILE = (
    b"[default]\naws_access_key_id = AKIDOTHER\naws_secret_access_key = other\n\n"
    b"[agcod]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = canary+secret/key\n%b"
)
PAIR = Credentials("AKIDEXAMPLE", "canary+secret/key")
KEYS = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters='"\\'), min_size=1)


def agcod_profile(data: bytes) -> Credentials | str:
    return profile_in(data, "agcod")


WRITTEN = {
    "JSON": (pair_in, JSON % b"", JSON % b'"key_created": "2026-01-31T12:00:00Z", '),
    "TOML": (pair_in, TOML % b"", TOML % b"key_created = 2026-01-31T13:00:00+01:00\n"),
    "profile": (agcod_profile, PROFILE % b"", PROFILE % b"agcod_key_created = 2026-01-31T12:00:00Z\n"),
}


@pytest.mark.parametrize(("read", "young", "dated"), WRITTEN.values(), ids=WRITTEN)
def test_a_pair_is_read(read, young, dated):
    """With and without the day on which it was made."""
    assert (read(young), read(dated)) == (PAIR, PAIR)
    assert (read(young).key_created, read(dated).key_created) == (None, CREATED)


@pytest.mark.parametrize(("read", "document"), [(each[0], each[2]) for each in WRITTEN.values()], ids=WRITTEN)
def test_what_breaks_off_is_never_another_pair(read, document):
    """A file is read while it is written: a secret without its end would sign wrongly."""
    for length in range(len(document)):
        found = read(document[:length])
        assert found == PAIR or isinstance(found, str), length
    assert isinstance(read(b""), str)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "it is empty"),
        (b" \n", "it is empty"),
        (b'{"access_key_id": "A"}', "missing required field `secret_access_key`"),
        (b'{"access_key_id": "A", "secret_access_key": 5}', r"Expected `str`, got `int` - at `\$.secret_"),
        (b'{"access_key_id": "A", "secret_access_key": "canary secret"}', "secret_access_key must be"),
        (b'{"access_key_id": "A" "canary"}', r"no valid JSON \(byte \d+\)"),
        (b"{" * 5000, r"no valid JSON"),
        (b'{"a":' * 5000, r"no valid JSON"),
        (b'{"access_key_id": "\xff"}', "no valid JSON"),
        (b"access_key_id = canary", r"no valid TOML \(at line 1, column 17\)"),
        (b"canary/secret", r"no valid TOML \(at line 1, column 7\)"),
        (b"\xff\xfe", "no valid TOML$"),
        (b'access_key_id = "A"\nsecret_access_key = "S"\nkey_created = 2026-01-31', "key_created"),
        (b'access_key_id = "A"\nsecret_access_key = "S"\nkey_created = 2026-01-31T12:00:00', "timezone"),
    ],
)
def test_what_is_wrong_with_a_document(data, says):
    """Said by place and field, and never by quoting what may be the secret."""
    found = pair_in(data)
    assert isinstance(found, str)
    assert re.search(says, found), found
    assert "canary" not in found


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"\n", "it is empty"),
        (b"[agcod]\naws_access_key_id = A\naws_secret_access_key = canary", "no line end"),
        (b"aws_access_key_id = canary\n", "no valid file of profiles"),
        (b"[agcod]\ncanary\n", "no valid file of profiles"),
        (b"[agcod]\n\xff = 1\n", "no valid file of profiles"),
        (b"[agcod]\naws_access_key_id = A\naws_access_key_id = canary\n", "no valid file of profiles"),
        (b"[other]\naws_access_key_id = canary\n[third]\n", "no profile 'agcod' among other, third"),
        (b"# nothing yet\n", "no profile 'agcod' among none"),
        (b"[agcod]\naws_secret_access_key = canary\n", "has no aws_access_key_id"),
        (b"[agcod]\naws_access_key_id = A\naws_secret_access_key =\n", "has no aws_secret_access_key"),
        (b"[agcod]\naws_session_token = canary\n", "has an aws_session_token, and the service knows lasting"),
        (PROFILE % b"agcod_key_created = 2026-01-31\n", "agcod_key_created must be a date and time with"),
        (
            b"[agcod]\naws_access_key_id = A\naws_secret_access_key = canary two\n",
            "secret_access_key must be",
        ),
        (b"[DEFAULT]\naws_access_key_id = A\naws_secret_access_key = canary\n[agcod]\n", "has no aws_access"),
    ],
)
def test_what_is_wrong_with_a_profile(data, says):
    """Whoever keeps more than one account finds the line; nothing is inherited from elsewhere."""
    found = agcod_profile(data)
    assert isinstance(found, str)
    assert says in found, found
    assert "canary" not in found


@examples(200)
@given(key=KEYS, secret=KEYS)
def test_whatever_the_portal_hands_out_can_be_written(key, secret):
    """No character of a secret has a meaning of its own: not %, not #, not ;."""
    pair = Credentials(key, secret)
    assert pair_in(f'{{"access_key_id": "{key}", "secret_access_key": "{secret}"}}'.encode()) == pair
    assert pair_in(f'access_key_id = "{key}"\nsecret_access_key = "{secret}"'.encode()) == pair
    profile = f"[agcod]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n"
    assert agcod_profile(profile.encode()) == pair
