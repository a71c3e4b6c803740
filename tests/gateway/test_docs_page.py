"""`/docs` works offline: everything that the page needs comes from our own host."""

import base64
import hashlib
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import pytest

from tests.gateway.conftest import GatewayUnderTest

pytestmark = pytest.mark.anyio


class _Page(HTMLParser):
    """What a page loads, and the scripts that stand in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.scripts: list[str] = []
        self._in_script = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.addresses += [value for name in ("src", "href") if (value := given.get(name))]
        self._in_script = tag == "script" and "src" not in given
        assert not [name for name in given if name.startswith("on") or name == "style"]

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts.append(data)

    def handle_endtag(self, tag: str) -> None:
        self._in_script = False


def _policy(header: str) -> dict[str, list[str]]:
    directives = (directive.split() for directive in header.split(";"))
    return {name: sources for name, *sources in directives}


async def test_page_loads_from_our_own_host_only(gateway: GatewayUnderTest) -> None:
    answer = await gateway.http.get("/docs")
    page = _Page(answer.text)
    here = urlsplit(str(answer.url)).netloc
    loaded = [urljoin(str(answer.url), address) for address in page.addresses if address != "data:,"]

    assert answer.status_code == 200
    assert {urlsplit(address).netloc for address in loaded} == {here}
    contents = {address.rpartition("/")[2]: await gateway.http.get(address) for address in loaded}
    assert set(contents) == {"swagger-ui-bundle.js", "swagger-ui.css"}
    assert all(content.status_code == 200 for content in contents.values())
    assert "SwaggerUIBundle" in contents["swagger-ui-bundle.js"].text
    assert ".swagger-ui" in contents["swagger-ui.css"].text
    assert "@import" not in contents["swagger-ui.css"].text
    types = {name: content.headers["content-type"].partition(";")[0] for name, content in contents.items()}
    assert types == {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}


async def test_T24_policy_allows_our_own_files_and_this_very_script(gateway: GatewayUnderTest) -> None:
    answer = await gateway.http.get("/docs")
    (script,) = _Page(answer.text).scripts
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()

    assert _policy(answer.headers["content-security-policy"]) == {
        "default-src": ["'none'"],
        "script-src": ["'self'", f"'sha256-{digest}'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "connect-src": ["'self'"],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
        "frame-ancestors": ["'none'"],
    }


async def test_script_reads_our_document_and_asks_no_validator(gateway: GatewayUnderTest) -> None:
    (script,) = _Page((await gateway.http.get("/docs")).text).scripts

    assert "url: '/openapi.json'" in script
    assert '"validatorUrl": null' in script
    assert "//" not in script


@pytest.mark.parametrize(
    "path", ["redoc.standalone.js", "../__init__.py", "%2e%2e/__init__.py", "", "swagger-ui.css/"]
)
async def test_T23_nothing_else_is_served(gateway: GatewayUnderTest, path: str) -> None:
    answer = await gateway.http.get(f"http://{gateway.running.address}/docs/static/{path}")

    assert answer.status_code == 404
