"""The pages as an ASGI application of their own: plain HTML, no script, on loopback."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined

from ..app import BodyTooLarge, ClientGone, Receive, Scope, Send, read_body, send_answer
from ..values import Answer
from .portal import Portal
from .scratchpad import Scratchpad
from .values import CSS, Form, Page, Unusable

if TYPE_CHECKING:
    from ..gateway import Emulator

_LARGEST_FORM = 256 * 1024
_MOST_FIELDS = 50
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
        scratchpad, portal = Scratchpad(emulator, gateway_url), Portal(emulator)
        self._routes: Mapping[tuple[str, str], Handler] = {
            ("GET", "/"): portal.show,
            ("GET", "/style.css"): _style,
            ("GET", "/scratchpad"): scratchpad.compose,
            ("POST", "/scratchpad"): scratchpad.sign,
            ("GET", "/portal"): portal.show,
            ("GET", "/portal/activity.csv"): portal.download,
            ("POST", "/portal/keys"): portal.change_key,
            ("POST", "/portal/alerts"): portal.set_alerts,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request of a browser."""
        try:
            body = await read_body(scope, receive, _LARGEST_FORM)
        except ClientGone:
            return
        except BodyTooLarge:
            page = _problem(413, "The form is too large.")
        else:
            page = await self._page(scope, body)
        await send_answer(send, self._rendered(page))

    async def _page(self, scope: Scope, body: bytes) -> Page:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get("host", "")
        if _name_of(f"//{host}") not in _OWN_NAMES:
            return _problem(403, "These pages are for this machine: ask for localhost.")
        origin = headers.get("origin")
        if origin is not None and origin != f"http://{host}":
            return _problem(403, "This form was not filled in on these pages.")
        handler = self._routes.get((scope["method"], scope["path"]))
        if handler is None:
            return _problem(404, "There is nothing here.")
        try:
            text = (body if scope["method"] == "POST" else scope["query_string"]).decode()
            pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
            return await handler(Form(dict(pairs)))
        except Unusable as wrong:
            return _problem(400, str(wrong))
        except (ValueError, OverflowError):
            return _problem(400, "The form cannot be read.")

    def _rendered(self, page: Page) -> Answer:
        headers = {**_HEADERS, "content-type": page.content_type}
        if page.location is not None:
            path, values = page.location
            return Answer(
                status=303, headers={**headers, "location": f"{path}?{urlencode(values)}"}, body=b""
            )
        if page.file_name is not None:
            headers["content-disposition"] = f'attachment; filename="{page.file_name}"'
        body = self._templates[page.template].render(page.values) if page.template else page.text
        return Answer(status=page.status, headers=headers, body=body.encode())


async def _style(_: Form) -> Page:
    return Page(template="style.css", content_type=CSS)


def _problem(status: int, text: str) -> Page:
    return Page(status=status, template="problem.html", values={"text": text})


def _name_of(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None
