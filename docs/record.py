"""
Run a campaign in a terminal, with faults and two kill -9, and write down what was on the screen.

`tox run -e record` writes docs/recording.md anew, in 18 minutes: `agcod reconcile` leaves out the last
15, in which rewards may be under way. It fails if the figures on the screen do not agree.
"""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyte

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "recording.md"
WIDTH = 100
PATIENCE = 1200
"""Seconds for one command."""

INTRODUCTION = """\
# A campaign, recorded

What a terminal showed, as it was: `tox run -e record` runs all of it again and writes this page. First the
demo, then 300 rewards against the served emulator, which loses answers, refuses to tell, and breaks, while
the campaign is killed twice. In the end the file, the ledger, the gateway's books and `agcod reconcile` have
to say the same, to the cent. What tox says about packages is left out.

"""

FAULTS = ("drop_before", "drop_after", "resend_after", "fault_after", "garbage")
FAULT = """--fault '{"kind": "%s", "operation": "CreateGiftCard", "probability": 0.03}'"""
ROWS = (
    'seq 300 | awk \'BEGIN {print "reference,amount,currency"} {print "order-" $1 "," $1 % 7 + 1 ".25,USD"}\''
)
TOTAL = "1278.00"

DEMO = ("tox run -e demo",)
CAMPAIGN = (
    f"{ROWS} > rewards.csv",
    "head -3 rewards.csv",
    " \\\n    ".join(
        [
            "agcod emulator --throttle sliding --ca-file ca.pem --control-port 8444",
            *(
                FAULT % kind
                for kind in ("drop_before", "drop_after", "resend_after", "fault_after", "garbage")
            ),
            "> gateway.env &",
        ]
    ),
    "sleep 3; . ./gateway.env",
    "agcod bulk run rewards.csv --dry-run",
    "timeout -s KILL 12 agcod bulk run rewards.csv --yes",
    "agcod bulk status rewards.csv; echo exit code $?",
    "timeout -s KILL 12 agcod bulk run rewards.csv --yes",
    "agcod bulk run rewards.csv --max-total '1300.00 USD' --results results.csv; echo exit code $?",
    "awk -F, '{sum += $2} END {printf \"%.2f\\n\", sum}' rewards.csv    # what the file says",
    "agcod bulk status rewards.csv    # what the ledger says",
    "grep -c issued results.csv; head -3 results.csv",
    'curl -s --cacert ca.pem -H "Authorization: Bearer $AGCOD_CONTROL_TOKEN" $AGCOD_CONTROL_URL/state; echo',
    "agcod funds",
    "sleep 960    # the last 15 minutes are left out: rewards may be under way",
    "agcod reconcile; echo exit code $?",
    "grep -cE '[A-Z0-9]{4}-[A-Z0-9]{6}-[A-Z0-9]{4}' rewards.db results.csv    # claim codes",
    "kill %1",
)
TYPED = {"agcod bulk run rewards.csv --max-total": ("Type 'yes' to go on:", "yes")}


class Terminal:
    """A shell in a pseudo-terminal, and what is on its screen."""

    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        self.screen = pyte.HistoryScreen(WIDTH, 50, history=5000, ratio=1)
        self._stream = pyte.ByteStream(self.screen)
        self._leader, follower = pty.openpty()
        self._shell = subprocess.Popen(
            ["bash", "--norc", "--noprofile", "--noediting", "-i"],
            cwd=folder,
            env={**environ, "PS1": "$ ", "PS2": "> ", "TERM": "xterm", "COLUMNS": f"{WIDTH}", "LINES": "50"},
            stdin=follower,
            stdout=follower,
            stderr=follower,
            start_new_session=True,
        )
        os.close(follower)
        self._wait("$ ")

    def run(self, command: str, prompt: str = "", typed: str = "") -> None:
        """Type a command, and answer what it asks."""
        print(f"$ {command}", flush=True)
        for number, line in enumerate(command.split("\n")):
            if number:
                self._wait("> ")
            self._type(line)
        if prompt:
            self._wait(prompt)
            self._type(typed)
        self._wait("$ ")

    def close(self) -> str:
        """End the shell, and return everything that was shown."""
        os.close(self._leader)
        self._shell.wait(20)
        history = ["".join(line[x].data for x in range(WIDTH)) for line in self.screen.history.top]
        lines = [line.rstrip() for line in (*history, *self.screen.display)]
        return "\n".join(lines).rstrip().removesuffix("$").rstrip()

    def _type(self, line: str) -> None:
        os.write(self._leader, f"{line}\n".encode())
        # The echo has to be on the screen before a prompt is looked for.
        self._read(0.5)

    def _wait(self, prompt: str) -> None:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            self._read(0.3)
            before_cursor = self.screen.display[self.screen.cursor.y][: self.screen.cursor.x]
            if before_cursor.rstrip() == prompt.rstrip() or (len(prompt) > 2 and prompt in before_cursor):
                return
        raise TimeoutError(f"no {prompt!r} within {PATIENCE} s")

    def _read(self, seconds: float) -> None:
        while select.select([self._leader], [], [], seconds)[0]:
            self._stream.feed(os.read(self._leader, 65536))


def record(folder: Path, commands: tuple[str, ...]) -> str:
    environ = {
        name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "PIP_INDEX_URL") if name in os.environ
    }
    environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environ['PATH']}"
    terminal = Terminal(folder, environ)
    for command in commands:
        asked = next((answer for start, answer in TYPED.items() if command.startswith(start)), ("", ""))
        terminal.run(command, *asked)
    return terminal.close().replace(str(folder), "~")


def story(shown: str) -> str:
    """Return what the demo says, without what tox says about packages."""
    command, _, rest = shown.partition("\n")
    told = re.sub(r"(?ms)^\.pkg: .*?(?=^  demo: OK)", "", rest[rest.index("Emulated gateway") :])
    return f"{command}\n{told}"


def check(shown: str) -> None:
    """Raise unless everybody names the same sum."""
    assert shown.count("Killed") == 2, "it was to be killed twice"
    assert f"\n{TOTAL}\n" in shown, "the file"
    assert re.search(rf"^issued +300 +{TOTAL} +USD$", shown, re.MULTILINE), "the ledger"
    assert f'"spent":{{"Acme1":"{TOTAL}"}}' in shown.replace("\n", ""), "the gateway's books"
    assert f"{10_000 - float(TOTAL):.2f}" in shown, "the funds"
    assert "Both books say the same" in shown, "the reconciliation"


def main() -> None:
    demo = story(record(ROOT, DEMO))
    with tempfile.TemporaryDirectory() as folder:
        campaign = record(Path(folder), CAMPAIGN)
    PAGE.write_text(
        f"{INTRODUCTION}```console\n{demo}\n```\n\n```console\n{campaign}\n```\n", encoding="utf-8"
    )
    check(campaign)


if __name__ == "__main__":
    main()
