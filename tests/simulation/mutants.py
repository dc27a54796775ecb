"""
Programs that break one money rule in one place each: the simulation has to catch every one of them.

``python -m tests.simulation.mutants`` shows by which seed; ``--one NAME`` runs a single one.
"""

from __future__ import annotations

import argparse
import importlib.abc
import importlib.machinery
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
UNIVERSES = 4000
SECONDS = 300.0


@dataclass(frozen=True)
class Mutant:
    """One change to one module."""

    name: str
    module: str
    old: str
    new: str


MUTANTS = (
    Mutant(
        "the request leaves before the intent is committed",
        "issuer",
        "        entry, is_mine = await self._ledger.begin(",
        "        from .ledger.planning import planned\n"
        "        if await self._ledger.get(intent.reference) is None:\n"
        "            try:\n"
        "                await self._driver.repeat(planned(intent, self.payer, self._session.clock()))\n"
        "            except AgcodError:\n"
        "                pass\n"
        "        entry, is_mine = await self._ledger.begin(",
    ),
    Mutant(
        "what is about to be sent is not marked as sent",
        "driver",
        "return await self.forward(await self._ledger.save(marked))",
        "return await self.forward(marked)",
    ),
    Mutant(
        "the request id depends on the attempt",
        "driver",
        "            return await session.create_gift_card(\n                entry.request_id,",
        "            return await session.create_gift_card(\n"
        "                entry.request_id[:36] + f'{entry.attempts:04d}',",
    ),
    Mutant(
        "a timeout counts as not sent",
        "errors",
        '"""The request was sent and no complete answer came in time: it may have been executed."""',
        '"""Mutated."""\n\n    outcome: Outcome = "not_sent"',
    ),
    Mutant(
        "a 5xx counts as refused",
        "driver",
        'was_executed = error.outcome == "unknown"\n',
        'was_executed = error.outcome == "unknown" and type(error).__name__ != "GatewayFault"\n',
    ),
    Mutant(
        "an unreadable answer counts as refused",
        "driver",
        'was_executed = error.outcome == "unknown"\n',
        'was_executed = error.outcome == "unknown" and type(error).__name__ != "MalformedResponse"\n',
    ),
    Mutant(
        "RESEND counts as refused",
        "driver",
        'was_executed = error.outcome == "unknown"\n',
        'was_executed = error.outcome == "unknown" and type(error).__name__ != "ResendError"\n',
    ),
    Mutant(
        "a refusal is final although an earlier request is unknown",
        "ledger.states",
        'return {"has_unknown": True, "unknown_since"',
        'return {"has_unknown": False, "unknown_since"',
    ),
    Mutant(
        "after a restart nothing is unknown any more",
        "ledger.states",
        '_move("found_open", entry, "sent", **_unknown(entry, now))',
        '_move("found_open", entry, "sent")',
    ),
    Mutant(
        "attempts of one call forget that an earlier one is unknown",
        "retry",
        "if self._last_unknown is not None and not isinstance(error, PostconditionError):",
        "if False and not isinstance(error, PostconditionError):",
    ),
    Mutant(
        "a new id before the old one is dead",
        "driver",
        "return await self.reverse(await self._ledger.save(states.begin_reverse(entry, goal, self._now())))",
        "entry = await self._ledger.save(states.begin_reverse(entry, goal, self._now()))\n"
        '        return Step(await self._buried(entry)) if goal == "replace" else await self.reverse(entry)',
    ),
    Mutant(
        "an unknown id in answer to a cancel proves that nothing lives",
        "driver",
        "return await self._bury(entry, error)",
        "return Step(await self._buried(entry), error=error)",
    ),
    Mutant(
        "a create that is refused was never under way",
        "ledger.states",
        "return sign_by is not None and seen - CLOCK_WINDOW > sign_by + CLOCK_WINDOW",
        "return sign_by is not None",
    ),
    Mutant(
        "a refused cancel of a live card is too late at once",
        "ledger.states",
        "return entry.alive_at is not None and seen - entry.alive_at > CANCEL_WINDOW + 2 * CLOCK_WINDOW",
        "return entry.alive_at is not None",
    ),
    Mutant(
        "a cancel without an answer has succeeded",
        "driver",
        "            return await self._after_reverse(entry, error)",
        '            if error.outcome != "unknown":\n                return await self._after_reverse(entry, error)',
    ),
    Mutant(
        "burying is enough, without the cancel after it",
        "driver",
        "        return Step(await self._ledger.save(self._later(entry, reason)), error=reason)",
        "        return Step(await self._buried(entry), error=reason)",
    ),
    Mutant(
        "too late counts as cancelled",
        "driver",
        "return Step(await self._ledger.save(states.too_late(entry, self._now())), error=reason)",
        "return Step(await self._buried(entry), error=reason)",
    ),
    Mutant(
        "a card is handed out although its entry has moved on",
        "driver",
        "        settled = states.settle_issued(entry, self._now(), gc_id, self._session.signing_time())\n"
        "        return await self._ledger.save(settled)\n",
        "        settled = states.settle_issued(entry, self._now(), gc_id, self._session.signing_time())\n"
        "        try:\n            return await self._ledger.save(settled)\n"
        "        except AgcodError:\n            return settled",
    ),
    Mutant(
        "writes do not compare the version",
        "ledger.memory",
        "if known is None or identity(known) != identity(before):",
        "if known is None:",
    ),
    Mutant(
        "what was undone is issued anew",
        "driver",
        'if reversed_.goal != "replace":',
        'if reversed_.goal == "issue":',
    ),
    Mutant(
        "undo withdraws what may have been sent",
        "driver",
        '            case "planned":\n                return Step(await self._ledger.save(states.withdraw(entry, now)))',
        '            case "planned":\n                return Step(await self._ledger.save(states.withdraw(entry, now)))\n'
        '            case "sent":\n                return Step(await self._ledger.save(states.withdraw('
        "states.not_sent_after_all(states.structs.replace(entry, has_unknown=False), now, now), now)))",
    ),
    Mutant(
        "after 24 hours it counts as refused",
        "driver",
        "return states.abandon(states.still_unknown(entry, now, now, error))",
        "return states.settle_refused("
        "states.structs.replace(entry, has_unknown=False), now, ConfigurationError())",
    ),
    Mutant(
        "a code is handed out while its cancel is under way",
        "driver",
        '            case "reversing":\n                return await self.reverse(entry)\n            case "reversed" if',
        '            case "reversing":\n                try:\n'
        "                    return Step(await self._ledger.save(states.too_late(entry, now)), "
        "await self.repeat(entry))\n"
        "                except AgcodError:\n                    return await self.reverse(entry)\n"
        '            case "reversed" if',
    ),
    Mutant(
        "a refusal is told although something may live",
        "issuer",
        'if isinstance(error, CONFIGURED_WRONGLY) and entry.state == "planned":',
        "if isinstance(error, CONFIGURED_WRONGLY):",
    ),
    Mutant(
        "a fetched card is handed out though it is dead",
        "driver",
        "            if _is_dead(error):\n"
        "                entry = await self._ledger.save(states.settle_refunded(entry, self._now()))\n",
        "            if _is_dead(error):\n                return Step(entry, error.response)\n",
    ),
)


class _Patched(importlib.machinery.SourceFileLoader):
    mutant: Mutant

    def get_code(self, fullname):
        source = Path(self.path).read_text()
        assert source.count(self.mutant.old) == 1, (
            f"{self.mutant.name}: {source.count(self.mutant.old)} places"
        )
        return compile(source.replace(self.mutant.old, self.mutant.new), self.path, "exec")


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(self, fullname, path, target=None):
        if fullname != f"agcod_async.{self._mutant.module}":
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        assert spec is not None
        assert spec.origin is not None
        loader = _Patched(fullname, spec.origin)
        loader.mutant = self._mutant
        spec.loader = loader
        return spec


def hunt(mutant: Mutant, universes: int, seconds: float) -> tuple[int, str] | None:
    """Return the first seed whose books show the mutant. Patches this interpreter: one mutant in each."""
    sys.meta_path.insert(0, _Finder(mutant))
    from .universe import Universe, Wrong

    end = time.process_time() + seconds
    for seed in range(1, universes + 1):
        if time.process_time() > end:
            return None
        try:
            # Few and harsh, because rules are broken in the corners.
            Universe(seed, crowds=0.0).run()
        except Wrong as wrong:
            return seed, str(wrong)
    return None


def hunt_apart(mutant: Mutant, universes: int = UNIVERSES, seconds: float = SECONDS) -> tuple[bool, str]:
    """The same in an interpreter of its own."""
    command = [sys.executable, "-m", "tests.simulation.mutants", "--one", mutant.name]
    command += ["--universes", str(universes), "--seconds", str(seconds)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode == 0, (done.stdout or done.stderr).strip()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.mutants")
    parser.add_argument("--one", metavar="NAME")
    parser.add_argument("--universes", type=int, default=UNIVERSES)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--jobs", type=int, default=2)
    asked = parser.parse_args()
    if asked.one is not None:
        mutant = next(one for one in MUTANTS if one.name == asked.one)
        caught = hunt(mutant, asked.universes, asked.seconds)
        print(f"caught by seed {caught[0]}: {caught[1][:200]}" if caught else "NOT CAUGHT")
        return 0 if caught else 1
    with ThreadPoolExecutor(asked.jobs) as pool:
        found = list(pool.map(lambda one: hunt_apart(one, asked.universes, asked.seconds), MUTANTS))
    for mutant, (is_caught, text) in zip(MUTANTS, found, strict=True):
        print(f"{'ok ' if is_caught else 'BAD'} {mutant.name}: {text.splitlines()[-1]}")
    print(f"{sum(is_caught for is_caught, _ in found)} of {len(MUTANTS)} mutants are caught")
    return 0 if all(is_caught for is_caught, _ in found) else 1


if __name__ == "__main__":
    sys.exit(main())
