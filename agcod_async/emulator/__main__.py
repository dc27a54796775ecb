"""`python -m agcod_async.emulator`: the gateway as a process of its own."""

import argparse
import asyncio
import json
import secrets
import shlex
import shutil
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import msgspec

from .clock import Clock
from .control import fault_of
from .gateway import DEFAULT_PARTNER, Emulator
from .settings import Settings
from .state import Partner
from .store import StateFile
from .throttle import Rate, Throttle

PROGRAM = "python -m agcod_async.emulator"
_SAVE_EVERY = 1.0


def parser(program: str = PROGRAM) -> argparse.ArgumentParser:
    """The command line."""
    options = argparse.ArgumentParser(
        prog=program,
        usage="%(prog)s [OPTIONS]",
        description="Emulate Amazon's Gift Card Incentives gateway on loopback. "
        "It is a model of the public facts, not Amazon: its cards buy nothing.",
        epilog="Example: %(prog)s --port 8443 --funds 500 --state gateway.json",
    )
    options.add_argument("--host", default="127.0.0.1")
    options.add_argument("--port", type=int, default=8443, help="0 takes a free one (default: %(default)s)")
    options.add_argument("--plain", action="store_true", help="HTTP without TLS")
    options.add_argument("--allow-remote", action="store_true", help="bind addresses that are not loopback")
    options.add_argument(
        "--partner", default=DEFAULT_PARTNER.partner_id, help="partner id (default: %(default)s)"
    )
    options.add_argument("--funds", type=Decimal, default=DEFAULT_PARTNER.funds, help="default: %(default)s")
    options.add_argument("--currency", default=DEFAULT_PARTNER.currency, help="default: %(default)s")
    options.add_argument("--region", default="us-east-1", help="signing region (default: %(default)s)")
    options.add_argument("--seed", type=int, default=0, help="decides ids, codes and chances (default: 0)")
    options.add_argument("--throttle", choices=("sliding", "fixed", "bucket", "off"), default="sliding")
    options.add_argument("--rate", type=int, default=10, help="requests per second overall (default: 10)")
    options.add_argument("--burst", type=int, help="size of the bucket")
    options.add_argument("--freeze-at", type=datetime.fromisoformat, help="stand still at this ISO time")
    options.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="turn one of the switches of Settings, for example request_id_limit=19; may be repeated",
    )
    options.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="JSON",
        help='arm a fault, for example {"kind": "drop_after", "probability": 0.05}; may be repeated',
    )
    options.add_argument("--state", type=Path, help="file in which the books survive a restart")
    options.add_argument(
        "--ca-file", type=Path, help="where to write the certificate that clients must trust"
    )
    options.add_argument(
        "--control-port", type=int, help="serve the control API on this port; 0 takes a free one"
    )
    options.add_argument("--control-token", help="its token; made up and printed by default")
    options.add_argument(
        "--pages-port",
        type=int,
        help="serve the Scratchpad and the Portal for a browser on this port; 0 takes a free one",
    )
    options.add_argument("--json", action="store_true", help="print the variables as one line of JSON")
    return options


def emulator_of(options: argparse.Namespace) -> Emulator:
    """The emulator that the command line asks for."""
    throttle = None
    if options.throttle != "off":
        throttle = Throttle(model=options.throttle, overall=Rate(options.rate), burst=options.burst)
    clock = Clock()
    if options.freeze_at:
        clock.freeze(options.freeze_at)
    partner = Partner(options.partner, DEFAULT_PARTNER.keys, options.funds, options.currency)
    emulator = Emulator(
        [partner],
        clock=clock,
        seed=options.seed,
        region=options.region,
        throttle=throttle,
        settings=settings_of(options.set),
    )
    for order in options.fault:
        emulator.faults.arm(fault_of(order.encode()))
    return emulator


def settings_of(switches: Sequence[str]) -> Settings:
    """The settings that NAME=VALUE pairs ask for; durations are ISO 8601, lists and tables are JSON."""
    values: dict[str, object] = {}
    for switch in switches:
        name, _, text = switch.partition("=")
        if name not in Settings.__dataclass_fields__:
            raise ValueError(f"no switch is called {name!r}")
        values[name] = msgspec.json.decode(text) if text[:1] in {"{", "["} else text
    return msgspec.convert(values, Settings, strict=False)


async def run(options: argparse.Namespace, show: Callable[[str], None]) -> None:
    """Serve until cancelled; the books are saved every second and at the end."""
    emulator = emulator_of(options)
    file = StateFile(options.state) if options.state else None
    if file:
        file.load(emulator.state)
    token = options.control_token or secrets.token_urlsafe(24)
    serving = emulator.serve(
        tls=not options.plain,
        port=options.port,
        host=options.host,
        allow_remote=options.allow_remote,
        control_port=options.control_port,
        control_token=token,
        pages_port=options.pages_port,
    )
    async with serving as server:
        environment = dict(server.environment)
        if options.ca_file and server.ca_file:
            shutil.copyfile(server.ca_file, options.ca_file)
            environment["AGCOD_CA_FILE"] = str(options.ca_file)
        if server.control_url:
            environment |= {"AGCOD_CONTROL_URL": server.control_url, "AGCOD_CONTROL_TOKEN": token}
        if server.pages_url:
            environment["AGCOD_PAGES_URL"] = server.pages_url
        for line in _announced(server.url, environment, as_json=options.json):
            show(line)
        try:
            await _keep(emulator, file)
        finally:
            if file and (books := file.changes(emulator.state)):
                file.write(books)


def _announced(url: str, environment: Mapping[str, str], *, as_json: bool) -> list[str]:
    if as_json:
        return [json.dumps(environment)]
    exports = [f"export {name}={shlex.quote(value)}" for name, value in environment.items()]
    return [*exports, f"# {url} is a model of the public facts, not Amazon. Ctrl-C ends it."]


async def _keep(emulator: Emulator, file: StateFile | None) -> None:
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(_SAVE_EVERY)
        if file and (books := file.changes(emulator.state)):
            await loop.run_in_executor(None, file.write, books)


def _show(line: str) -> None:
    print(line, flush=True)


async def _main(options: argparse.Namespace, show: Callable[[str], None]) -> None:
    task = asyncio.ensure_future(run(options, show))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    with suppress(asyncio.CancelledError):
        await task


def main(
    arguments: Sequence[str] | None = None, show: Callable[[str], None] = _show, *, program: str = PROGRAM
) -> int:
    """Run the command; 2 for what it cannot do."""
    options = parser(program).parse_args(arguments)
    try:
        asyncio.run(_main(options, show))
    except (ValueError, OSError) as wrong:
        print(wrong, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
