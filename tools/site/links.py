"""Follow every link of a built site: to a page, to an anchor in it, to a picture, a style or a script."""

import os
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {"script": "src", "img": "src", "source": "src", "iframe": "src", "video": "src", "link": "href"}
NOT_LOADED = {"canonical", "prev", "next", "alternate"}  # relations of <link> that fetch nothing


@dataclass
class Page(HTMLParser):
    """What one page names: its anchors, where it leads, and what it loads."""

    anchors: set[str] = field(default_factory=set)
    leads: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if given.get(name)}
        if tag == "a" and "href" in given:
            self.leads.append(given["href"])
        if (name := LOADED.get(tag)) in given and not NOT_LOADED & set(given.get("rel", "").split()):
            self.loads.append(given[name or ""])


def faults(site: Path) -> list[str]:
    """One line for each link that leads nowhere and each file that a page would load from elsewhere."""
    pages = {path: _read(path) for path in sorted(site.rglob("*.html"))}
    found = []
    for path, page in pages.items():
        name = path.relative_to(site)
        for link in sorted({*page.leads, *page.loads}):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                if link in page.loads and parts.scheme != "data":
                    found.append(f"{name} loads {link}, which is not of the site")
                continue
            file = site / parts.path.lstrip("/") if parts.path.startswith("/") else path.parent / unquote(parts.path)
            file = Path(os.path.normpath(file)) if parts.path else path
            file = file / "index.html" if file.is_dir() else file
            if not file.exists():
                found.append(f"{name} leads to {link}: no such file")
            elif parts.fragment and file in pages and unquote(parts.fragment) not in pages[file].anchors:
                found.append(f"{name} leads to {link}: no such anchor")
    return found


def _read(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page
