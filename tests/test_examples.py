"""What a newcomer runs first: the demo and the README's examples."""

from __future__ import annotations

import asyncio
import os
import re
import runpy
import signal
import sys
from pathlib import Path

import pytest

from tests.support.optional import require

ROOT = Path(__file__).parent.parent
pytest.importorskip(
    "uvicorn", reason="the emulator's server needs the extra: pip install agcod-async[emulator]"
)
pytest.importorskip(
    "trustme", reason="the emulator's server needs the extra: pip install agcod-async[emulator]"
)


def python_blocks(document: Path = ROOT / "README.md") -> list[str]:
    text = document.read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


async def run_demo(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        str(ROOT / "examples" / "demo.py"),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
    )


async def test_the_demo_issues_every_reward_and_the_books_add_up():
    """It is the first thing that a newcomer sees, over real TLS, and it says so if money is missing."""
    process = await run_demo()
    out, err = await process.communicate()

    assert process.returncode == 0, err.decode()
    lines = out.decode().splitlines()
    assert sum("Fulfilled" in line and "****" in line for line in lines) == 20
    assert "2653.98 spent, 2653.98 expected" in out.decode()
    assert not re.search(r"\b[A-Z0-9]{4}-[A-Z0-9]{6}-[A-Z0-9]{4}\b", out.decode()), "a claim code was printed"


async def test_the_demo_ends_cleanly_on_ctrl_c():
    """Somebody who stops it sees one sentence, not a traceback."""
    process = await run_demo()
    assert process.stdout is not None
    await process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, err = await process.communicate()

    assert process.returncode == 130
    assert "Stopped." in out.decode()
    assert err.decode() == ""


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ("r-1,ten,USD\n", "amount is not a plain number"),
        ("r-1,1.00,USD\n", "two rewards or more"),
        ("r-1,1.00,USD\nr-1,2.00,USD\n", "a reference of its own"),
        (None, "No such file"),
    ],
)
async def test_the_demo_refuses_a_bad_file(tmp_path, rows, says):
    """It ends in one sentence, before anything is issued."""
    bad = tmp_path / "bad.csv"
    if rows is not None:
        bad.write_text(f"reference,amount,currency\n{rows}", encoding="utf-8")
    process = await run_demo(str(bad))
    _, err = await process.communicate()

    assert process.returncode == 2
    assert says in err.decode()
    assert "Traceback" not in err.decode()


async def test_the_readmes_examples_run(monkeypatch, tmp_path, capsys):
    """Each block is executed against the emulator as it stands in the README, in order, in one module."""
    from agcod_async.emulator import Emulator

    async with Emulator().serve() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        module = tmp_path / "readme.py"
        module.write_text("\n".join(python_blocks()), encoding="utf-8")
        # The first example calls asyncio.run, so it needs a thread without a loop.
        names = await asyncio.to_thread(runpy.run_path, str(module), run_name="readme")

        async with names["AgcodSession"].from_env() as session:
            assert (await names["reward"](session, "order4712")).startswith("issued A")
            monkeypatch.chdir(tmp_path)
            first, again = [await names["reward_once"](session, "order-4713") for _ in range(2)]
            assert first.startswith("issued A")
            assert again == first
            rewards = ROOT / "examples" / "rewards.csv"
            await names["send_rewards"](session, str(rewards))
            assert capsys.readouterr().out.count(" issued None ") == 20
        await names["in_a_test"]()
        await names["session"].aclose()


DOCUMENTS = {path.stem: path for path in sorted((ROOT / "docs").glob("*.md")) if python_blocks(path)}


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
async def test_the_documents_examples_run(document, monkeypatch, tmp_path):
    """Whoever copies a block gets one that works; each document is one module, read from top to bottom."""
    from agcod_async.emulator import Emulator

    async with Emulator().serve() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(tmp_path)
        module = tmp_path / "document.py"
        module.write_text("\n".join(python_blocks(document)), encoding="utf-8")
        try:
            names = await asyncio.to_thread(runpy.run_path, str(module), run_name="document")
        except ModuleNotFoundError as exc:
            require(str(exc.name))
            raise
        if "session" in names:
            await names["session"].aclose()


def test_the_readmes_promise_stands_first():
    """One sentence, then the two commands that set everything up."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text.index("tox run -e demo") < text.index("&& tox run  ") < text.index("```python")
