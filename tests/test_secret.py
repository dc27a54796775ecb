from __future__ import annotations

import copy
import json
import pickle
import pprint
import traceback

import msgspec
import pytest
from hypothesis import given, strategies as st

from agcod_async import ClaimCode, Credentials, Secret
from agcod_async.secret import looks_like_claim_code, redact
from tests.support.properties import examples

CODE = "AAAA-BBBBBB-CCCC"
kinds = pytest.mark.parametrize("kind", [Secret, ClaimCode])
code_characters = st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
claim_codes = st.tuples(
    st.text(code_characters, min_size=4, max_size=4),
    st.text(code_characters, min_size=6, max_size=6),
    st.text(code_characters, min_size=4, max_size=5),
).map("-".join)


@kinds
@pytest.mark.parametrize(
    "show",
    [
        str,
        repr,
        format,
        ascii,
        pprint.pformat,
        lambda value: f"{value} {value!s} {value!r} {value:>40}",
        lambda value: "%s %r" % (value, value),  # noqa: UP031
        lambda value: "{} {!r}".format(value, value),  # noqa: UP032
        lambda value: str([value, {"code": value}]),
        lambda value: "".join(traceback.format_exception(ValueError(value))),
    ],
)
def test_no_text_shows_the_value(kind, show):
    """A claim code is money for whoever reads the log."""
    assert CODE not in show(kind(CODE))


@kinds
@pytest.mark.parametrize(
    "serialise",
    [
        pickle.dumps,
        lambda value: pickle.dumps(value, protocol=0),
        lambda value: pickle.dumps({"nested": [value]}),
        json.dumps,
        msgspec.json.encode,
        msgspec.msgpack.encode,
        msgspec.to_builtins,
        vars,
        lambda value: value.__getstate__(),
        lambda value: value.__reduce__(),
        bytes,
        "".join,
        iter,
        len,
    ],
)
def test_no_serialisation_takes_it(kind, serialise):
    """What is stored or sent by accident is refused loudly, not masked silently."""
    with pytest.raises(TypeError) as caught:
        serialise(kind(CODE))
    assert CODE not in str(caught.value)


@kinds
def test_refusing_to_pickle_says_what_to_do(kind):
    """Whoever wanted to queue a code learns that the request id is enough."""
    with pytest.raises(
        TypeError, match=f"a {kind.__name__} refuses pickling: keep the request id, and ask again"
    ):
        pickle.dumps(kind(CODE))


@kinds
def test_only_reveal_shows_it(kind):
    """One word to search for when asking where codes go."""
    assert kind(CODE).reveal() == CODE


@kinds
def test_copies_are_the_same_object(kind):
    """Copying a settings tree works, and multiplies nothing."""
    secret = kind(CODE)
    assert copy.copy(secret) is secret
    assert copy.deepcopy([secret])[0] is secret


def test_secrets_compare_by_value():
    """Two answers with the same code are equal; text equal to a code is not a code."""
    assert Secret(CODE) == Secret(CODE)
    assert len({Secret(CODE), Secret(CODE), Secret("other")}) == 2
    assert Secret(CODE) != Secret("other")
    assert ClaimCode(CODE) != CODE
    assert Secret("ключ") == Secret("ключ")


@pytest.mark.parametrize("value", [None, 5, b"secret", ["secret"]])
def test_only_text_is_a_secret(value):
    """A secret that is really None would sign requests with the word None."""
    with pytest.raises(TypeError, match="a Secret is a str"):
        Secret(value)


def test_the_mask_can_be_laid_out():
    """Tables align masked values as they do others."""
    assert f"{Secret(CODE):>6}" == "  ****"


def test_credentials_hide_their_secret():
    """A settings dump in a bug report gives no key away."""
    credentials = Credentials("AKIDEXAMPLE", "example-secret")
    assert "example-secret" not in f"{credentials} {credentials!r}"
    with pytest.raises(TypeError, match="refuses pickling"):
        pickle.dumps(credentials)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        (CODE, True),
        ("aaaa-bbbbbb-cccc", True),
        ("AAAA-BBBBBB-CCCCC", True),
        (f"{CODE} ", False),
        (f"x{CODE}", False),
        ("AAAA-BBBBB-CCCC", False),
        ("", False),
    ],
)
def test_claim_codes_are_known_by_their_form(text, is_one):
    """Codes turn up in fields that have no name yet."""
    assert looks_like_claim_code(text) is is_one


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("Insufficient Funds", "Insufficient Funds"),
        (f"code {CODE}, used", "code ****, used"),
        (f"code_{CODE}_used", "code_****_used"),
        (f"({CODE.lower()})", "(****)"),
        ("Credential=AKID/20240131/us-east-1, Signature=abc123", "****, ****"),
        ("authorization: AWS4-HMAC-SHA256 Credential=AKID", "**** ****"),
        ("first line\nsecond line", "first line"),
        ("\n\n  first line  ", "first line"),
        ("bell\x07 and \x1b[31mred", "bell  and  [31mred"),
        ("", ""),
    ],
)
def test_foreign_text_is_cleaned(text, clean):
    """A refusal quotes what it refused: codes, signatures, terminal commands. None of it reaches a log."""
    assert redact(text) == clean


def test_foreign_text_is_bounded():
    """An error is one line that fits a log, however long the page that came back."""
    assert redact("x" * 300) == "x" * 300
    assert redact("x" * 301) == "x" * 299 + "…"
    assert len(redact("x" * 10**6)) == 300


@examples(60)
@given(st.text(), claim_codes, st.text())
def test_no_code_survives(before, code, after):
    """Wherever in a text a code stands, it is gone; letters right beside it make it something else."""
    text = redact(f"{before} {code} {after}")
    assert code not in text
    assert len(text) <= 300
    assert text.isprintable()
