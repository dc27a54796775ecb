"""A browser without a screen: it reads pages strictly, fills in their forms, and sends what they say."""

from dataclasses import dataclass, field
from html.parser import HTMLParser


@dataclass
class Form:
    method: str
    action: str
    fields: dict[str, str] = field(default_factory=dict)
    choices: dict[str, list[str]] = field(default_factory=dict)
    buttons: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)


class Page(HTMLParser):
    """What can be seen and pressed."""

    def __init__(self, response) -> None:
        super().__init__()
        self.response = response
        self.forms: list[Form] = []
        self.links: dict[str, str] = {}
        self.texts: dict[str, list[str]] = {}
        self.rows: list[list[str]] = []
        self.words = ""
        self._open: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.feed(response.text)
        self.close()

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        assert not any(name.startswith("on") for name in values), "there is no script on these pages"
        assert tag not in ("script", "iframe", "img")
        match tag:
            case "form":
                self.forms.append(Form(values["method"], values["action"]))
            case "input" if values.get("type") == "checkbox":
                self.forms[-1].choices[values["name"]] = [values["value"]]
            case "input":
                self.forms[-1].fields[values["name"]] = values.get("value") or ""
            case "tr":
                self.rows.append([])
            case _:
                pass
        if tag not in ("input", "meta", "link", "!doctype"):
            self._open.append((tag, values, []))

    def handle_data(self, data):
        self.words += data
        for _, _, text in self._open:
            text.append(data)

    def handle_endtag(self, tag):
        opened, values, parts = self._open.pop()
        assert opened == tag, f"<{opened}> was ended by </{tag}>"
        text = "".join(parts)
        # As a browser does: the line's end after <textarea> and <pre> is not in it.
        text = text.removeprefix("\n") if tag in ("textarea", "pre") else text.strip()
        self.texts.setdefault(values.get("role") or tag, []).append(text)
        match tag:
            case "a":
                self.links[text] = values["href"]
            case "button":
                self.forms[-1].buttons.append((text, values))
            case "textarea":
                self.forms[-1].fields[values["name"]] = text
            case "option":
                select = next(values for name, values, _ in reversed(self._open) if name == "select")
                value = values.get("value") or text
                form = self.forms[-1]
                form.choices.setdefault(select["name"], []).append(value)
                if "selected" in values or select["name"] not in form.fields:
                    form.fields[select["name"]] = value
            case "td":
                self.rows[-1].append(text)
            case _:
                pass

    @property
    def facts(self) -> dict[str, str]:
        return dict(zip(self.texts.get("dt", ()), self.texts.get("dd", ()), strict=True))


class Browser:
    def __init__(self, client) -> None:
        self._client = client
        self.page: Page

    async def go(self, path, **query):
        self.page = Page(await self._client.get(path, params=query or None))
        return self.page

    async def press(self, text, **changed):
        """Press a button, after some fields of its form have got other values; follow where it leads."""
        form, button = next(
            (form, button) for form in self.page.forms for name, button in form.buttons if name == text
        )
        assert set(changed) <= {*form.fields, *form.choices}
        fields = {**form.fields, **changed}
        if button.get("name"):
            fields[button["name"]] = button["value"]
        action = button.get("formaction") or form.action
        # Browsers write the ends of lines as two characters.
        fields = {name: value.replace("\n", "\r\n") for name, value in fields.items()}
        if form.method == "get":
            response = await self._client.get(action, params=fields)
        else:
            origin = str(self._client.base_url).rstrip("/")
            response = await self._client.post(
                action, data=fields, headers={"origin": origin}, follow_redirects=True
            )
        if not response.headers["content-type"].startswith("text/html"):
            return response
        self.page = Page(response)
        return self.page
