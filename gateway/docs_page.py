"""`/docs`: Swagger UI from our own host, so that it works offline and tells nobody who reads it."""

import base64
import hashlib
import re
from importlib.resources import files
from pathlib import Path

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import FileResponse, HTMLResponse

PAGE_PATH = "/docs"
STATIC_PATH = "/docs/static"
SCRIPT, STYLE = "swagger-ui-bundle.js", "swagger-ui.css"
# The package brings more than this page needs; nothing else of it is served.
_MEDIA_TYPES = {SCRIPT: "text/javascript", STYLE: "text/css"}

_INLINE_SCRIPT = re.compile(rb"<script>(.*?)</script>", re.DOTALL)


def add_docs(app: FastAPI, *, openapi_path: str) -> None:
    """Adds the page that shows the document at `openapi_path`, and the two files that it needs."""
    page = _page(app.title, openapi_path)

    async def docs() -> HTMLResponse:
        return page

    app.add_api_route(PAGE_PATH, docs, include_in_schema=False)
    for name in _MEDIA_TYPES:
        _add_file(app, name)


def _add_file(app: FastAPI, name: str) -> None:
    path = Path(str(files("fastapi_offline").joinpath("static", name)))

    async def static() -> FileResponse:
        return FileResponse(path, media_type=_MEDIA_TYPES[name])

    app.add_api_route(f"{STATIC_PATH}/{name}", static, include_in_schema=False)


def _page(title: str, openapi_path: str) -> HTMLResponse:
    page = get_swagger_ui_html(
        openapi_url=openapi_path,
        title=title,
        swagger_js_url=f"{STATIC_PATH}/{SCRIPT}",
        swagger_css_url=f"{STATIC_PATH}/{STYLE}",
        swagger_favicon_url="data:,",
        # Else Swagger UI shows the document's address to a validator of its makers.
        swagger_ui_parameters={"validatorUrl": None},
    )
    hashes = " ".join(f"'sha256-{_digest(script)}'" for script in _INLINE_SCRIPT.findall(page.body))
    page.headers["Content-Security-Policy"] = (
        f"default-src 'none'; script-src 'self' {hashes}; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return page


def _digest(script: bytes) -> str:
    return base64.b64encode(hashlib.sha256(script).digest()).decode()
