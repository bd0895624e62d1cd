"""The HTML document around every page: one style, no outside files; a script where a page has one, and no other may run."""

from base64 import b64encode
from hashlib import sha256
from html import escape
from pathlib import Path

STYLE = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
SCRIPT = (Path(__file__).parent / "page.js").read_text(encoding="utf-8")


def document(title: str, body: str, style: str = "", *, scripted: bool = False) -> str:
    """The document called `padless: TITLE`. `body` is HTML, the title plain text; `style` is CSS after the common one.

    With the script tables sort, tips show and buttons copy; the page then forbids every other script and request.
    """
    head = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1">{_policy() if scripted else ""}'
        f"<title>padless: {escape(title)}</title><style>{STYLE}{style}</style></head>"
    )
    end = f'<div id="tip" role="status"></div><script>{SCRIPT}</script>' if scripted else ""
    return f"{head}\n<body><main>\n{body}\n</main>{end}</body></html>\n"


def _policy() -> str:
    digest = b64encode(sha256(SCRIPT.encode()).digest()).decode()
    rules = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    return f'<meta http-equiv="Content-Security-Policy" content="{rules}">'
