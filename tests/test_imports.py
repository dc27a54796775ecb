from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.support.source import MODULES, PACKAGE, clocks_and_dice, foreign_imports, own_imports

# The house's map, in reading order: a module imports only from the rows above its own. Subpackages are one
# name, and free inside.
LAYERS = [
    ["_version", "wire", "secret", "codecs", "escapes"],
    ["signing", "masking"],
    ["support"],
    ["errors"],
    ["money", "dates", "endpoints"],
    ["events"],
    ["environment", "model", "refusals"],
    ["checks", "credentials", "clock", "paging"],
    ["signer", "retry", "transport", "throttle"],
    ["diagnosis"],
    ["protocol", "call", "lifetime", "watch"],
    ["session", "ledger", "cadence"],
    ["driver", "receipts", "statement", "case"],
    ["drive"],
    ["issuer", "reconcile", "funds"],
    ["bulk"],
    ["__init__"],
    ["emulator", "telemetry"],
    ["testing", "demo"],
    ["cli"],
    ["__main__"],
]
LEVEL = {name: level for level, row in enumerate(LAYERS) for name in row}

# The modules that know each library: one of the client, and one of the other end.
HTTP_HOMES = {"transport", "emulator.transport"}
HOMES = {
    "httpx": HTTP_HOMES,
    "httpx2": HTTP_HOMES,
    "tenacity": {"retry", "drive"},
    "aiolimiter": {"throttle"},
    "opentelemetry": {"telemetry"},
}

# Where the machine's own time may be asked for.
WALL_CLOCKS = {"clock", "emulator.clock", "emulator.certificates"}

OPTIONAL = (
    "aiohttp", "asyncpg", "boto3", "botocore", "click", "httpx2", "httpx_aiohttp", "hypothesis", "jinja2",
    "keyring", "opentelemetry", "psycopg", "pytest", "redis", "rich", "trustme", "typer", "uvicorn",
)  # fmt: skip


def layer_of(module: str) -> str:
    return module.partition(".")[0]


def is_package(module: str) -> bool:
    return module == "__init__" or (PACKAGE / module.replace(".", "/")).is_dir()


def upward(module: str, source: str, *, in_package: bool) -> list[str]:
    """Return the imports of *module* that its place in the house does not allow."""
    own = layer_of(module)
    return [
        imported
        for imported in sorted(own_imports(module, source, in_package))
        if layer_of(imported) != own and not LEVEL.get(layer_of(imported), 99) < LEVEL[own]
    ]


def test_every_module_has_its_place():
    """A module that is not on the map could import anything; a place without a module is a lie."""
    assert {layer_of(module) for module in MODULES} == set(LEVEL)
    assert sum(map(len, LAYERS)) == len(LEVEL)


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_back(module):
    """A module imports only from the rows above its own, so each can be read, tested and replaced alone."""
    assert upward(module, MODULES[module], in_package=is_package(module)) == []


@pytest.mark.parametrize(
    ("module", "source", "in_package", "found"),
    [
        ("money", "from .errors import ConfigurationError", False, []),
        ("money", "from .session import AgcodSession", False, ["session"]),
        ("money", "from . import session, errors", False, ["session"]),
        ("money", "def late():\n    from .dates import parse_date", False, ["dates"]),
        ("money", "if TYPE_CHECKING:\n    import agcod_async.session", False, ["session"]),
        ("money", "from agcod_async.session import AgcodSession", False, ["session"]),
        ("money", "from agcod_async import Endpoint", False, ["Endpoint"]),
        ("money", "import agcod_async", False, ["__init__"]),
        ("money", "from .unheard_of import anything", False, ["unheard_of"]),
        ("money", "import decimal\nfrom msgspec.structs import fields", False, []),
        ("throttle", "from .local import LocalThrottle", True, []),
        ("throttle", "from ..session import AgcodSession", True, ["session"]),
        ("throttle.local", "from ..errors import ConfigurationError\nfrom . import Throttle", False, []),
        ("throttle.local", "from ..session import AgcodSession", False, ["session"]),
        ("throttle.local", "from .. import session", False, ["session"]),
        ("__init__", "from .session import AgcodSession", True, []),
    ],
)
def test_the_map_is_enforced(module, source, in_package, found):
    """The check above sees every way to write an import."""
    assert upward(module, source, in_package=in_package) == found


@pytest.mark.parametrize("module", MODULES)
def test_each_library_has_one_home(module):
    """Whoever replaces a library reads one module: no httpx type or tenacity state leaks elsewhere."""
    strangers = {
        name
        for name in foreign_imports(MODULES[module])
        if name in HOMES and HOMES[name].isdisjoint({module, layer_of(module)})
    }
    assert strangers == set()


@pytest.mark.parametrize("module", MODULES)
def test_clock_and_dice_are_injected(module):
    """Virtual time and a seeded generator run everything; whoever asks the machine itself escapes them."""
    assert list(clocks_and_dice(MODULES[module])) == []


def test_the_machines_time_is_read_in_few_places():
    """Default clocks read it, and whatever TLS holds against it; everybody else is given a clock."""
    assert {module for module, source in MODULES.items() if "datetime.now" in source} <= WALL_CLOCKS


# A page for whoever signs: what it signs is judged by the rest of the emulator, like any client's.
SCRATCHPAD = "emulator.pages.scratchpad"


@pytest.mark.parametrize(
    "module", [name for name in MODULES if layer_of(name) == "emulator" and name != SCRATCHPAD]
)
def test_the_emulator_checks_signatures_by_itself(module):
    """Were it to call the client's signer, a mistake there would be its own judge."""
    assert "signer" not in {
        layer_of(imported) for imported in own_imports(module, MODULES[module], is_package(module))
    }


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import time\ntime.time()", ["time.time"]),
        ("import time as t\nt.sleep(1)", ["time.sleep"]),
        ("from time import sleep\nsleep(1)", ["time.sleep"]),
        ("import random\nrandom.random()", ["random.random"]),
        ("import random\npick = random.choice", ["random.choice"]),
        ("from random import uniform\nuniform(0, 1)", ["random.uniform"]),
        ("from random import Random, SystemRandom\nRandom(1).random()\nSystemRandom()", []),
        ("import random\nrandom.Random(1)", []),
        ("import time\ntime.monotonic()", []),
        ("def f(time): return time.time()", []),
        ("self.time()", []),
    ],
)
def test_every_clock_and_die_is_found(source, found):
    """The check above sees through the ways to write them."""
    assert sorted(set(clocks_and_dice(source))) == found


# Runs in a fresh interpreter: counts what an import makes, and lists what it loads.
PROBE = """
import json, ssl, sys

made = []
new = ssl.SSLContext.__new__
ssl.SSLContext.__new__ = lambda *args, **options: made.append("SSLContext") or new(*args, **options)
noisy = ("subprocess.", "os.exec", "os.fork", "os.posix_spawn", "os.system", "socket.")
sys.addaudithook(lambda event, _: made.append(event) if event.startswith(noisy) else None)
before = set(sys.modules)
__import__(sys.argv[1])
print(json.dumps({"made": made, "loaded": sorted(set(sys.modules) - before)}))
"""


def probe(module: str) -> dict[str, list[str]]:
    command = [sys.executable, "-c", PROBE, module]
    return json.loads(subprocess.run(command, check=True, capture_output=True, cwd=PACKAGE.parent).stdout)


def extras(module: str) -> set[str]:
    return {name.split(".")[0] for name in probe(module)["loaded"]} & set(OPTIONAL)


def test_importing_loads_no_extra():
    """
    A web worker pays at start-up only for what it uses.

    What httpx itself loads for its command line, where that happens to be installed, is not ours.
    """
    assert extras("agcod_async") - extras("httpx") == set()


def test_importing_makes_nothing():
    """No TLS context (20 ms and 800 KiB), no process and no socket before somebody asks for one."""
    answer = probe("agcod_async")
    assert answer["made"] == []
    assert "agcod_async.session" in answer["loaded"]


def test_the_probe_notices():
    """It sees a context, a process and an extra where there is one."""
    assert "pytest" in extras("pytest")
    noisy = PROBE.replace(
        "__import__(sys.argv[1])",
        "import subprocess; ssl.create_default_context(); subprocess.run([sys.executable, '-c', ''])",
    )
    answer = json.loads(subprocess.run([sys.executable, "-c", noisy], check=True, capture_output=True).stdout)
    assert {"SSLContext", "subprocess.Popen"} <= set(answer["made"])
