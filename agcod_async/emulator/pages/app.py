"""The pages as an ASGI application of their own: plain HTML, no script, on loopback."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined

from ..app import Receive, Scope, Send, body_in_time, send_answer
from ..values import Answer
from .portal import Portal
from .scratchpad import Scratchpad
from .values import CSS, Form, Page, Unusable

if TYPE_CHECKING:
    from ..gateway import Emulator

_LARGEST_FORM = 256 * 1024
_FORM = "application/x-www-form-urlencoded"
# A name that somebody else's server resolves to this machine would make its pages ours.
_OWN_NAMES = ("localhost", "127.0.0.1", "::1")
_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; style-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    # With no referrer at all, browsers would call the origin of a form "null".
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
}

Handler = Callable[[Form], Awaitable[Page]]


class PagesApp:
    """
    Serves the Scratchpad and the Portal of an emulator.

    Whoever reaches it acts for the partner. It answers to this machine's own names only, and takes forms
    only from its own pages, so that no other page in the same browser can fill one in.

    Args:
        emulator: whose accounts are shown.

        gateway_url: where the gateway listens; the Scratchpad signs for its host.
    """

    def __init__(self, emulator: "Emulator", gateway_url: str) -> None:
        templates = Environment(
            loader=PackageLoader(__name__.rpartition(".")[0]),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        # Read now: later, the loop would wait for the disk.
        self._templates = {name: templates.get_template(name) for name in templates.list_templates()}
        self._body_timeout = emulator.body_timeout
        scratchpad, portal = Scratchpad(emulator, gateway_url), Portal(emulator)
        self._routes: Mapping[tuple[str, str], Handler] = {
            ("GET", "/"): portal.show,
            ("GET", "/style.css"): _style,
            ("GET", "/scratchpad"): scratchpad.show,
            ("POST", "/scratchpad"): scratchpad.act,
            ("GET", "/portal"): portal.show,
            ("GET", "/portal/activity.csv"): portal.download,
            ("POST", "/portal/keys"): portal.change_key,
            ("POST", "/portal/alerts"): portal.set_alerts,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request of a browser."""
        if (page := _unwanted(scope)) is not None:
            # Whatever body it may have is not read.
            await send_answer(send, self._rendered(page, {"connection": "close"}))
            return
        body = await body_in_time(scope, receive, send, _LARGEST_FORM, self._body_timeout)
        if body is None:
            return
        handler = self._routes.get((scope["method"], scope["path"]), _nothing)
        is_query = scope["method"] == "GET"
        try:
            page = await handler(Form.read(scope["query_string"] if is_query else body, is_query=is_query))
        except Unusable as wrong:
            page = _problem(400, str(wrong))
        await send_answer(send, self._rendered(page, {}))

    def _rendered(self, page: Page, more: Mapping[str, str]) -> Answer:
        headers = {**_HEADERS, "content-type": page.content_type, **more}
        if page.location is not None:
            path, values = page.location
            return Answer(
                status=303, headers={**headers, "location": f"{path}?{urlencode(values)}"}, body=b""
            )
        if page.file_name is not None:
            headers["content-disposition"] = f'attachment; filename="{page.file_name}"'
        body = self._templates[page.template].render(page.values) if page.template else page.text
        return Answer(status=page.status, headers=headers, body=body.encode())


def _unwanted(scope: Scope) -> Page | None:
    """Say why a request is not for these pages, or not from them."""
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    host, origin = headers.get("host", ""), headers.get("origin")
    if _name_of(f"//{host}") not in _OWN_NAMES:
        return _problem(403, "These pages are for this machine: ask for localhost.")
    if origin is not None and origin != f"http://{host}":
        return _problem(403, "This form was not filled in on these pages.")
    if scope["method"] == "POST" and headers.get("content-type", "").partition(";")[0] != _FORM:
        return _problem(415, f"A form is sent as {_FORM}.")
    return None


def _name_of(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None


async def _nothing(_: Form) -> Page:
    return _problem(404, "There is nothing here.")


async def _style(_: Form) -> Page:
    return Page(template="style.css", content_type=CSS)


def _problem(status: int, text: str) -> Page:
    return Page(status=status, template="problem.html", values={"text": text})
