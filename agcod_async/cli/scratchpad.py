"""Every step of a signature: `sign`."""

from __future__ import annotations

from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from .. import codecs
from ..clock import utc_now
from ..dates import parse_date
from ..model import OPERATIONS
from ..protocol import Protocol
from ..signer import SigV4Signer, explain
from .command import ASKING, command
from .context import CommandContext
from .exits import CommandError
from .keys import keys_from

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..model import Operation
    from ..wire import HTTPRequest

app = typer.Typer()


@command(
    app,
    options=ASKING,
    examples=(
        "agcod sign GetAvailableFunds",
        "agcod sign CancelGiftCard --field creationRequestId=Acme1order4711",
        "agcod sign CreateGiftCard --json-body @request.json --at 20260301T120000Z --json",
    ),
)
async def sign(
    context: CommandContext,
    operation: Annotated[str, typer.Argument(metavar="OPERATION", help="Such as CreateGiftCard.")],
    field: Annotated[
        list[str] | None,
        typer.Option("--field", metavar="NAME=VALUE", help="A field of the request, again and again."),
    ] = None,
    json_body: Annotated[
        str | None,
        typer.Option("--json-body", metavar="TEXT", help="The body itself; @FILE reads it, - the input."),
    ] = None,
    at: Annotated[
        str | None, typer.Option("--at", metavar="TIME", help="The moment to sign for; now.")
    ] = None,
    reveal: Annotated[
        bool, typer.Option("--reveal", help="Show the signature: it is good for 15 minutes.")
    ] = False,
) -> None:
    """
    Show every step of a signature, and send nothing.

    The Scratchpad of the service in a terminal: payload hash, canonical request, string to sign, scope,
    headers, and a curl line. What is signed is exactly what the other commands would send.
    """
    chosen = _operation(operation)
    if json_body is not None and field:
        raise CommandError("--json-body and --field exclude each other")
    request = (
        _composed(context, chosen, field or [])
        if json_body is None
        else _protocol(context, codecs.JSON).carrying(chosen, _body(context, json_body))
    )
    credentials = await keys_from(context.settings, context.process.environ).provider.get_credentials()
    signed = SigV4Signer(context.endpoint.region).sign(request, credentials, at=_moment(at))
    context.output.document(explain(signed).as_dict(reveal=reveal))
    if not reveal:
        context.output.note("The signature is masked: --reveal shows it, and makes the curl line work.")


def _operation(name: str) -> Operation[Any, Any]:
    plain = {each.lower(): operation for each, operation in OPERATIONS.items()}
    wanted = name.lower().replace("_", "").replace("-", "")
    if wanted in plain:
        return plain[wanted]
    near = get_close_matches(wanted, list(plain), n=1)
    fix = f"did you mean {plain[near[0]].name!r}?" if near else f"known are {', '.join(OPERATIONS)}"
    raise CommandError(f"there is no operation {name!r}", fix=fix)


def _protocol(context: CommandContext, codec: codecs.Codec) -> Protocol:
    return Protocol(context.endpoint, codec, context.settings.require("partner_id"), "agcod-cli")


def _composed(context: CommandContext, operation: Operation[Any, Any], fields: Sequence[str]) -> HTTPRequest:
    """Build the request from fields: the same shapes and bytes as a session's."""
    tree: dict[str, Any] = {"partnerId": context.settings.require("partner_id")}
    for text in fields:
        _set(tree, text)
    try:
        shape = msgspec.convert(tree, operation.request, strict=False)
    except msgspec.ValidationError as error:
        raise CommandError(f"--field: {error}", fix=f"the fields of {operation.name} are wanted") from None
    unknown = _unknown(tree, msgspec.to_builtins(shape), "")
    if unknown:
        raise CommandError(f"--field {unknown}: {operation.name} has no such field")
    codec = codecs.XML if context.settings.wire_format == "xml" else codecs.JSON
    return _protocol(context, codec).request(operation, shape)


def _set(tree: dict[str, Any], text: str) -> None:
    name, equals, value = text.partition("=")
    *parents, last = name.split(".")
    node = tree
    for parent in parents:
        node = node.setdefault(parent, {})
        if not isinstance(node, dict):
            raise CommandError(f"--field {name}: {parent} has a value of its own")
    if not equals or not all(name.split(".")):
        raise CommandError(f"--field {text!r} is not NAME=VALUE, such as value.amount=25.00")
    node[last] = value


def _unknown(given: dict[str, Any], known: object, path: str) -> str | None:
    """Return the first field that was given and has no place in what became of it."""
    for name, value in given.items():
        place = f"{path}{name}"
        if not isinstance(known, dict) or name not in known:
            return place
        if isinstance(value, dict) and (found := _unknown(value, known[name], f"{place}.")):
            return found
    return None


def _body(context: CommandContext, text: str) -> bytes:
    if text == "-":
        return context.process.stdin.read().encode()
    if not text.startswith("@"):
        return text.encode()
    path = context.process.folder / Path(text[1:])
    try:
        return path.read_bytes()
    except OSError as error:
        raise CommandError(f"--json-body {text}: {error.strerror}") from None


def _moment(text: str | None) -> datetime:
    if text is None:
        return utc_now()
    moment = parse_date(text)
    if moment is None:
        raise CommandError(f"--at {text!r} is no time such as 20260301T120000Z")
    return moment
