"""Files of rewards: what is understood, and what is refused before anything is sent."""

from __future__ import annotations

import asyncio
import codecs
import csv
import os
import string
from contextlib import suppress

import pytest
from hypothesis import given, strategies as st

from agcod_async import ConfigurationError, InvalidRewards, Money
from agcod_async.bulk import RewardFile
from agcod_async.bulk.problems import Problems
from agcod_async.bulk.source import CHUNK, source_of
from agcod_async.ledger import Intent, Payer
from tests.support.properties import examples

PAYER = Payer(partner_id="Acme1", endpoint="na-sandbox")
HEADER = "reference,amount,currency\n"


async def read(rewards, currencies=()):
    """Return all lines and intents, or raise what is wrong with them."""
    source, problems, found = source_of(rewards), Problems(), []
    async for chunk in source.chunks(PAYER, currencies, problems):
        found += zip(chunk.lines, chunk.intents, strict=True)
    problems.check(source.name)
    return found


@pytest.fixture
def file(tmp_path):
    """A function that writes a file and returns its path."""

    def write(content, name="rewards.csv"):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def order(number, amount="25.00", currency="USD", **fields):
    return Intent(reference=f"order-{number}", value=Money(amount, currency), **fields)


GOOD = {
    "plain": (HEADER + "order-1,25.00,USD\n", "csv"),
    "no last line end": (HEADER + "order-1,25.00,USD", "csv"),
    "a BOM": ("\ufeff" + HEADER + "order-1,25.00,USD\n", "csv"),
    "CRLF": ("reference,amount,currency\r\norder-1,25.00,USD\r\n", "csv"),
    "quotes": ('"reference","amount","currency"\n"order-1","25.00","USD"\n', "csv"),
    "spaces after commas": ("reference, amount, currency\norder-1, 25.00, USD\n", "csv"),
    "blank lines": ("\n" + HEADER + "\n,,\norder-1,25.00,USD\n\n", "csv"),
    "other names": ("Order ID,Value,currencyCode\norder-1,25.00,USD\n", "csv"),
    "another order": ("CURRENCY_CODE,order_number,Amount\nUSD,order-1,25.00\n", "csv"),
    "tabs": ("reference\tamount\tcurrency\norder-1\t25.00\tUSD\n", "tsv"),
    "one digit": (HEADER + "order-1,25,USD\n", "csv"),
    "objects": ('{"reference": "order-1", "amount": 25, "currency": "USD"}\n\n', "jsonl"),
    "objects with text": ('{"orderId": "order-1", "amount": "25.00", "currency": "USD"}', "jsonl"),
    "the wire's value": (
        '{"reference": "order-1", "value": {"amount": 25.0, "currencyCode": "USD"}, "programId": null}',
        "jsonl",
    ),
}


@pytest.mark.parametrize("name", GOOD)
async def test_what_people_export_is_understood(file, name):
    """Campaign tools name and order columns as they like; what they mean is the same."""
    content, ending = GOOD[name]
    [(_, intent)] = await read(file(content, f"rewards.{ending}"))
    assert intent == order(1)
    assert str(intent.value.amount) == "25.00"


async def test_programme_fields_are_optional_cell_by_cell(file):
    """An empty cell is no field, so that two programmes may share a file."""
    content = (
        "reference,amount,currency,programId,product_type,External Reference\n"
        "order-1,25,USD,P1,bookPV,Ärger ☃\norder-2,25,USD,,,\n"
    )
    assert [intent for _, intent in await read(file(content))] == [
        order(1, program_id="P1", product_type="bookPV", external_reference="Ärger ☃"),
        order(2),
    ]


async def test_lines_are_counted_as_an_editor_counts_them(file):
    """Whoever reads a message looks the line up."""
    found = await read(file("\n" + HEADER + "\norder-1,1,USD\n\n\norder-2,2,USD\n"))
    assert [line for line, _ in found] == [4, 7]


async def test_a_column_of_no_meaning_is_ignored_on_request_only(file):
    """A misspelt product_type must not be skipped in silence: the wrong product would be issued."""
    path = file("reference,amount,currency,email\norder-1,25,USD,a@example.org\n")
    with pytest.raises(InvalidRewards, match="column 'email' is not known"):
        await read(path)
    assert [intent for _, intent in await read(RewardFile(path, ignore=["email"]))] == [order(1)]
    objects = file('{"reference":"order-1","amount":25,"currency":"USD","email":{"a":1}}', "r.jsonl")
    with pytest.raises(InvalidRewards, match="line 1: column 'email' is not known"):
        await read(objects)
    assert [intent for _, intent in await read(RewardFile(objects, ignore=["email"]))] == [order(1)]


async def test_a_request_id_is_no_reference(file):
    """The id that would be made of it is another one: what an old script has issued would be issued again."""
    with pytest.raises(InvalidRewards, match="column 'creationRequestId' is not known"):
        await read(file("creationRequestId,amount,currency\nAcme1x,1,USD\n"))


LONG = "x" * 70_000
BAD_FILES = {
    "empty": (b"", 1, "the file is empty"),
    "only line ends": (b"\n\n\n", 1, "the file is empty"),
    "a header only": (HEADER.encode(), 1, "nothing below the header"),
    "no header": (
        b"order-1,25.00,USD\n",
        1,
        "a header is needed, such as reference,amount,currency; it has 'order-1', ",
    ),
    "semicolons": (
        b"reference;amount;currency\norder-1;25;USD\n",
        1,
        "separated by semicolons, where commas",
    ),
    "tabs": (b"reference\tamount\tcurrency\n", 1, "separated by tabs, where commas"),
    "no amount": (
        b"reference,currency\norder-1,USD\n",
        1,
        "no column amount in the header; it has 'reference'",
    ),
    "two amounts": (b"reference,amount,value,currency\n", 1, "'amount' and 'value' both mean amount"),
    "UTF-16": ((HEADER + "order-1,25,USD\n").encode("utf-16"), 1, "UTF-16: save it as UTF-8"),
    "UTF-16 BE": (codecs.BOM_UTF16_BE + HEADER.encode("utf-16-be"), 1, "UTF-16: save it as UTF-8"),
    "UTF-16, no BOM": ((HEADER + "order-1,25,USD\n").encode("utf-16-le"), 1, "NUL bytes"),
    "a spreadsheet": (b"PK\x03\x04\x14\x00", 1, "a spreadsheet or an archive"),
    "compressed": (b"\x1f\x8b\x08\x00", 1, "compressed"),
    "old Macintosh": (b"reference,amount,currency\rorder-1,25,USD\r", 1, "a carriage return inside"),
    "a header out of quotes": (b'"reference"x,amount,currency\n', 1, "quotation marks are wrong"),
    "a header that is too long": (LONG.encode() + b"\n", 1, "longer than 64 KiB"),
    "a header with NUL": (b"reference\0,amount,currency\n", 1, "NUL bytes"),
}


@pytest.mark.parametrize("name", BAD_FILES)
async def test_a_bad_file_says_what_is_wrong_with_it(file, name):
    """Whoever runs campaigns is no programmer: one sentence, with the line and the way out."""
    content, line, says = BAD_FILES[name]
    with pytest.raises(InvalidRewards, match="nothing was sent") as caught:
        await read(file(content))
    first = caught.value.problems[0]
    assert first.line == line
    assert says in str(first)


BAD_ROWS = {
    "no reference": (",25,USD", "reference: it is missing"),
    "a long reference": ("r" * 256 + ",25,USD", "reference: 256 characters, and at most 255"),
    "a control character": ("a\x07b,25,USD", "reference: control characters"),
    "a trailing space": ("order-1 ,25,USD", "reference: 'order-1 ' begins or ends with a space"),
    "no amount": ("order-1,,USD", "amount: it is missing"),
    "a float": ("order-1,1e3,USD", "amount: '1e3' is not a plain number such as 25.00"),
    "a hexadecimal": ("order-1,0x10,USD", "amount: '0x10' is not a plain number"),
    "thousands": ('order-1,"1,000.00",USD', "amount: '1,000.00' is not a plain number"),
    "a sign": ("order-1,$25,USD", "amount: '$25' is not a plain number"),
    "an underscore": ("order-1,1_000,USD", "amount: '1_000' is not a plain number"),
    "other digits": ("order-1,٢٥,USD", "is not a plain number"),
    "NaN": ("order-1,NaN,USD", "amount: 'NaN' is not a plain number"),
    "negative": ("order-1,-5,USD", "amount: -5 must be greater than 0"),
    "zero": ("order-1,0.00,USD", "amount: 0.00 must be greater than 0"),
    "huge": ("order-1,1000000000000,USD", "must be greater than 0 and below 10^12"),
    "cents in yen": ("order-1,500.50,JPY", "amount: 500.50 is too fine: JPY has no decimals"),
    "tenths of a cent": ("order-1,1.005,USD", "amount: 1.005 is too fine: USD has at most 2 decimals"),
    "no currency": ("order-1,25,", "currency: it is missing"),
    "an unknown currency": ("order-1,25,XBT", "currency: 'XBT' is none of AED"),
    "a currency in lower case": ("order-1,25,usd", "currency: 'usd' is written USD"),
    "too few cells": ("order-1,25", "2 cells, and the header has 3"),
    "too many cells": ("order-1,1,000.00,USD", "4 cells, and the header has 3"),
    "an open quotation mark": ('order-1,"25,USD', "a quotation mark is opened and not closed"),
    "a stray quotation mark": ('"order"-1,25,USD', "its quotation marks are wrong"),
    "a carriage return": ("order\r-1,25,USD", "a carriage return inside of it"),
    "NUL": ("order-\0,25,USD", "NUL bytes"),
    "a long line": (f"order-1,25,{LONG}", "longer than 64 KiB"),
}


@pytest.mark.parametrize("name", BAD_ROWS)
async def test_a_bad_row_is_named_among_good_ones(file, name):
    """The good rows around it do not hide it, and it does not hide their lines."""
    row, says = BAD_ROWS[name]
    content = f"{HEADER}order-0,1,USD\n{row}\norder-2,1,USD\n"
    if name == "an open quotation mark":
        content = f"{HEADER}order-0,1,USD\n{row}\n"
    with pytest.raises(InvalidRewards) as caught:
        await read(file(content))
    assert [problem.line for problem in caught.value.problems] == [3]
    assert says in str(caught.value)


async def test_a_line_that_is_not_utf_8_is_named(file):
    """Excel writes Latin-1 where nobody expects it."""
    with pytest.raises(InvalidRewards, match="line 3: it is not UTF-8"):
        await read(file(HEADER.encode() + b"order-1,1,USD\norder-\xe9,1,USD\norder-2,1,USD\n"))


async def test_everything_that_is_wrong_with_a_row_is_told(file):
    """Whoever mends a file wants to mend it once."""
    content = "reference,amount,currency,programId\n,ten,XYZ," + "p" * 101 + "\n"
    with pytest.raises(InvalidRewards) as caught:
        await read(file(content))
    assert [problem.column for problem in caught.value.problems] == [
        "reference", "amount", "currency", "program_id",
    ]  # fmt: skip
    assert caught.value.problems[-1].reason == "101 characters, and at most 100 are allowed"


async def test_a_programme_field_is_checked_where_all_else_is_right(file):
    """The service would refuse it, one reward after the other."""
    with pytest.raises(InvalidRewards, match="line 2: product_type: 51 characters, and at most 50"):
        await read(file("reference,amount,currency,productType\norder-1,1,USD," + "p" * 51 + "\n"))


async def test_a_cell_over_two_lines_is_refused(file):
    """Nothing that is wanted here has a line end in it, and two rows may have become one."""
    with pytest.raises(InvalidRewards) as caught:
        await read(file(HEADER + '"order\n-1",25,USD\norder-2,1,USD\n'))
    assert caught.value.problems == ((2, None, "a quotation mark is opened and not closed in this line"),)


async def test_amounts_of_every_kind_are_read_in_bounded_memory(file, monkeypatch):
    """Amounts are remembered, because most files have few; a file in which all differ is read as well."""
    monkeypatch.setattr("agcod_async.bulk.columns._KNOWN_AMOUNTS", 3)
    rows = "".join(f"order-{number},{number % 5 + 1}.00,USD\n" for number in range(20))
    assert [intent.value.amount for _, intent in await read(file(HEADER + rows))] == [1, 2, 3, 4, 5] * 4


async def test_all_bad_lines_are_told_at_once_within_bounds(file):
    """A million bad lines are a thousand in full, and a count."""
    with pytest.raises(InvalidRewards, match="and 5997 more") as caught:
        await read(file(HEADER + "".join(f"order-{number},x,USD\n" for number in range(6000))))
    assert caught.value.count == 6000
    assert [problem.line for problem in caught.value.problems] == [*range(2, 1002)]


async def test_an_open_quotation_mark_does_not_hide_the_rest(file):
    """It swallows lines until the next one; that line is wrong then too, and the ones after it are read."""
    content = HEADER + 'order-1,"25,USD\norder-2,1,USD\n"order-3",1,USD\norder-4,x,USD\n'
    with pytest.raises(InvalidRewards) as caught:
        await read(file(content))
    assert caught.value.problems[0].line == 2
    assert caught.value.problems[-1] == (5, "amount", "'x' is not a plain number such as 25.00")


async def test_a_line_of_ten_megabytes_is_one_sentence(file):
    """Nothing of it is kept, and the lines after it are read."""
    content = HEADER + "x" * 10_000_000 + "\norder-1,x,USD\n" + "y" * 10_000_000
    with pytest.raises(InvalidRewards) as caught:
        await read(file(content))
    assert [problem.line for problem in caught.value.problems] == [2, 3, 4]
    assert len(str(caught.value)) < 500


async def test_a_long_line_that_ends_with_the_file(file):
    """Its last block may end right behind its line end."""
    from agcod_async.bulk.lines import Lines

    for size in (262_144 - 1, 262_144, 2 * 262_144 - 1, 2 * 262_144):
        problems = Problems()
        path = file("x" * size + "\n")
        with path.open("rb") as opened:
            lines = list(Lines(opened, problems))
        assert [problem.line for problem in problems.first] == [1]
        assert not any(lines)


BAD_OBJECTS = {
    "no JSON": ("order-1,25,USD", "it is not a JSON object"),
    "a list": ('["order-1", 25, "USD"]', "it is not a JSON object"),
    "deep": ("[" * 60_000, "it is not a JSON object"),
    "a float": ('{"reference":"a","amount":1e3,"currency":"USD"}', "amount: '1e3' is not a plain number"),
    "not a number": (
        '{"reference":"a","amount":NaN,"currency":"USD"}',
        "amount: 'NaN' is not a plain number",
    ),
    "twice": ('{"reference":"a","amount":1,"amount":2,"currency":"USD"}', "amount is there twice"),
    "true": ('{"reference":true,"amount":1,"currency":"USD"}', "reference: text or a number is needed"),
    "null": ('{"reference":null,"amount":1,"currency":"USD"}', "reference: it is missing"),
    "nothing": ("{}", "reference: it is missing"),
    "nested twice": ('{"reference":"a","value":{"value":{"amount":1}},"currency":"USD"}', "amount: text or"),
}


@pytest.mark.parametrize("name", BAD_OBJECTS)
async def test_a_bad_object_is_named(file, name):
    """JSON has its own ways to be wrong; an amount never becomes a float."""
    text, says = BAD_OBJECTS[name]
    with pytest.raises(InvalidRewards) as caught:
        await read(file(f'{{"reference":"b","amount":1,"currency":"USD"}}\n{text}\n', "r.jsonl"))
    assert {problem.line for problem in caught.value.problems} == {2}
    assert says in str(caught.value)


async def test_no_objects_at_all(file):
    """As with a table."""
    with pytest.raises(InvalidRewards, match="line 1: the file is empty"):
        await read(file("\n \n", "r.jsonl"))


async def test_currencies_are_those_of_the_endpoint(file):
    """Euros are known, and no marketplace of North America has them."""
    path = file(HEADER + "order-1,25,EUR\n")
    assert await read(path)
    with pytest.raises(InvalidRewards, match="'EUR' is none of CAD, MXN, USD"):
        await read(path, {"CAD", "MXN", "USD"})
    assert await read(RewardFile(path, currencies=["EUR"]), {"CAD", "MXN", "USD"})


async def test_a_file_that_changes_is_refused(file):
    """What is issued is what was checked: rows added meanwhile belong to nobody's total."""
    path = file(HEADER + "order-1,25,USD\n")
    source = RewardFile(path)
    await read(source)
    with path.open("a") as opened:
        opened.write("order-2,1000,USD\n")
    with pytest.raises(ConfigurationError, match="changed since it was checked"):
        await read(source)


async def test_only_a_regular_file_can_be_read_twice(tmp_path):
    """A pipe is refused at once, and not waited for; so is a folder, and what is not there."""
    os.mkfifo(tmp_path / "pipe.csv")
    for name in ("pipe.csv", "."):
        with pytest.raises(ConfigurationError, match="regular file"):
            await read(RewardFile(tmp_path / name, format="csv"))
    with pytest.raises(ConfigurationError, match="No such file"):
        await read(tmp_path / "missing.csv")


def test_the_format_is_known_or_asked_for():
    """A guess could be wrong."""
    with pytest.raises(ConfigurationError, match="say what rewards"):
        RewardFile("rewards.txt")
    with pytest.raises(ConfigurationError, match="csv, tsv or jsonl"):
        RewardFile("rewards.csv", format="xlsx")
    assert RewardFile("rewards.TAB").format == "tsv"


async def test_rewards_of_a_list_are_checked_alike():
    """They come from a program, and programs have mistakes as well."""
    rewards = [order(1), order(2, "1.005"), Intent(reference="", value=Money(1, "USD")), order(3, "1", "EUR")]
    with pytest.raises(InvalidRewards) as caught:
        await read([*rewards, "order-4", order(5, kind="activate", card_number="1")], {"USD"})
    assert [problem.line for problem in caught.value.problems] == [2, 3, 4, 5, 6]
    assert [intent for _, intent in await read([order(1)] * (CHUNK + 1))] == [order(1)] * (CHUNK + 1)


def test_what_can_be_read_only_once_is_refused():
    """A generator would be empty when the rewards are issued."""
    with pytest.raises(ConfigurationError, match="read more than once"):
        source_of(order(number) for number in range(3))
    with pytest.raises(ConfigurationError, match="the path of a file, a RewardFile, or a list"):
        source_of(5)


@examples(60)
@given(st.binary(max_size=300), st.sampled_from(["csv", "tsv", "jsonl"]))
def test_no_content_breaks_the_reader(tmp_path_factory, content, ending):
    """Whatever is in a file, it is a sentence or it is rewards."""
    path = tmp_path_factory.mktemp("any") / f"r.{ending}"
    path.write_bytes(HEADER.encode() + content)
    with suppress(InvalidRewards):
        assert asyncio.run(read(path))


TEXT = st.text(string.ascii_letters + string.digits + "-_.,;\"' ☃", min_size=1, max_size=20).map(str.strip)


@examples(60)
@given(st.lists(st.tuples(TEXT.filter(bool), st.decimals("0.01", "2000", places=2)), min_size=1, max_size=8))
def test_what_a_spreadsheet_writes_comes_back(tmp_path_factory, rows):
    """Python's csv writes as Excel does, quotation marks and all."""
    path = tmp_path_factory.mktemp("csv") / "r.csv"
    with path.open("w", newline="", encoding="utf-8") as opened:
        csv.writer(opened).writerows([("reference", "amount", "currency"), *((*row, "USD") for row in rows)])
    found = [(intent.reference, intent.value.amount) for _, intent in asyncio.run(read(path))]
    assert found == rows
