"""The HTML document around every page: no scripts, no outside files."""

from html import escape

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}table{border-collapse:collapse}
td,th{padding:.15rem .8rem;text-align:right;border-bottom:1px solid #ddd}td:first-child{text-align:left}
svg{width:100%;height:auto}svg text{font:12px system-ui,sans-serif;fill:#222}
.key span{display:inline-block;width:.9em;height:.9em;margin:0 .3em 0 1em;vertical-align:-.1em}code{overflow-wrap:anywhere}
.note{border-left:4px solid #E69F00;padding-left:.6rem}
"""


def document(title: str, body: str, style: str = "") -> str:
    """The document called `padless: TITLE`. `body` is HTML, the title plain text; `style` is CSS after the common one."""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>padless: {escape(title)}</title>'
        f"<style>{STYLE}{style}</style>\n{body}</html>\n"
    )
