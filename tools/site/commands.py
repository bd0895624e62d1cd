"""The reference of the command line, written from the application that runs: it cannot be stale."""

import re
from collections.abc import Iterator
from typing import Any

from padless.cli.app import COMMANDS, imported

HEAD = """\
# The command line

Written from the program itself whenever this site is built. `padless COMMAND --help` says the same.
[The commands](commands.md) tells what to use when, and what MODEL, `--data`, `--target` and `--budget` may be.
"""
# What Typer calls the types of options, and what people write for them
KINDS = {"str": "TEXT", "list[str]": "TEXT", "path": "FILE", "int": "N", "float": "N"}


def page() -> str:
    """Markdown of all commands, in the order of a day's work."""
    rows = "\n".join(f"| [{name}](#padless-{name}) | {line} |" for name, (_, line) in COMMANDS.items())
    sections = [section for name in COMMANDS for section in _sections(imported(name), f"padless {name}", 2)]
    return "\n\n".join([HEAD, f"| command | what it does |\n|---|---|\n{rows}", *sections]) + "\n"


def _sections(command: Any, path: str, level: int) -> Iterator[str]:
    """One for a command, and one for each below it."""
    context = command.make_context(path, [], resilient_parsing=True)
    usage = re.sub(r"\{([A-Z.]+)\}", r"\1", " ".join([path, *command.collect_usage_pieces(context)]))
    parts = [f"{'#' * level} {path}", f"```text\n{usage}\n```", _examples_apart((command.help or "").strip())]
    yield "\n\n".join([*parts, *(_record(p, context) for p in command.params if not getattr(p, "hidden", False))])
    for name, below in getattr(command, "commands", {}).items():
        yield from _sections(below, f"{path} {name}", level + 1)


def _record(parameter: Any, context: Any) -> str:
    """An item of a definition list: what is typed, and what it means."""
    record = parameter.get_help_record(context)
    typed, text = record or (parameter.metavar, "")
    if parameter.param_type_name == "argument":
        typed = parameter.metavar
    typed = re.sub(r"<([^>]*)>$", lambda kind: KINDS.get(kind[1].removesuffix(" range"), kind[1].upper()), typed)
    said, facts = re.fullmatch(r"(.*?)\s*(?:\[((?:default|required|\d+<|x>)[^\[\]]*)\])?", text, re.DOTALL).groups()
    bounds = re.sub(r"(\S+)<=x<=(\S+)", r"from \1 to \2", re.sub(r"\bx>=(\S+)", r"at least \1", facts or ""))
    told = f" *{_escaped(bounds)}*" if facts else ""
    return f"`{typed}`\n:   {_escaped(' '.join(said.split()))}{told}"


def _examples_apart(text: str) -> str:
    """`Example: ...` as a block that can be copied."""
    broken = " \\\n    "  # as a shell wants a long line
    return _escaped(
        re.sub(
            r"^Example: `([^`]*)`$",
            lambda found: f"```sh\n{broken.join(found[1].splitlines())}\n```",
            text,
            flags=re.MULTILINE,
        )
    )


def _escaped(text: str) -> str:
    """With what Markdown would take for signs of its own made harmless, outside of code."""
    return "".join(
        part if part.startswith("`") else re.sub(r"([*_\[\]<>{}])", r"\\\1", part)
        for part in re.split(r"(```.*?```|`[^`]*`)", text, flags=re.DOTALL)
    )
