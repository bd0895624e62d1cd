"""What surrounds an Ethos-U, as Arm's compiler is told: sections of an .ini file, read as Vela reads them.

`System_Config.NAME` says the clock and the memories, `Memory_Mode.NAME` what lies in which of them; `inherit` names a
section whose options hold where a section has none of its own.
"""

import hashlib
from collections.abc import Iterable
from configparser import ConfigParser
from configparser import Error as IniError
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

from padless.errors import UsageError, suggest
from padless.files import regular

Kind = Literal["System_Config", "Memory_Mode"]
CALLED: dict[Kind, str] = {"System_Config": "system configuration", "Memory_Mode": "memory mode"}
OPTIONS: dict[Kind, str] = {"System_Config": "--system", "Memory_Mode": "--memory-mode"}
LONGEST, REFERENCES = 1 << 20, 16  # characters; references, which may multiply each other's lengths
FIELDS = {"Sram": "sram", "Dram": "dram", "OnChipFlash": "flash", "OffChipFlash": "flash"}  # ours, by Vela's memories


@dataclass(frozen=True, slots=True)
class VelaIni:
    """One or several files' sections. `where` is what messages call them."""

    where: str = field(compare=False)
    text: str
    _parser: ConfigParser = field(repr=False, compare=False)

    @classmethod
    def read(cls, source: str | Path) -> Self:
        """A file, or its text (which has line breaks). Raises UsageError for what is neither.

        What an option means is Vela's own affair, but for those that say how fast a system is.
        """
        if isinstance(source, str) and "\n" in source:
            return cls._parsed("the Vela configuration", source)
        try:
            text = regular(Path(source), LONGEST).read_text(encoding="utf-8")
        except OSError as error:
            raise UsageError(f"Cannot read the Vela configuration {source}: {error.strerror}.") from error
        except UnicodeDecodeError as error:
            raise UsageError(f"{source} is no Vela configuration: it is not text.") from error
        return cls._parsed(str(source), text if "\n" in text else f"{text}\n")

    @classmethod
    def together(cls, where: str, files: Iterable[Path]) -> Self:
        """Files of which none repeats another's sections."""
        return cls._parsed(where, "\n".join(file.read_text(encoding="utf-8") for file in files))

    @classmethod
    def _parsed(cls, where: str, text: str) -> Self:
        if len(text) > LONGEST or text.count("%(") > REFERENCES:
            raise UsageError(
                f"{where} is no Vela configuration: at most {LONGEST:,} characters and {REFERENCES} references %(…)s are "
                "read."
            )
        parser = ConfigParser()
        try:
            parser.read_string(text, where)
            for section in parser.sections():
                parser.items(section)  # fills in %(references)s
        except IniError as error:
            raise UsageError(f"{where} is no Vela configuration: {' '.join(str(error).split())}.") from error
        config = cls(where, text, parser)
        if not any(config.names(kind) for kind in CALLED):
            raise UsageError(
                f"{where} is no Vela configuration: it has no section [System_Config.NAME] or [Memory_Mode.NAME]."
            )
        return config

    def names(self, kind: Kind) -> list[str]:
        """The sections of a kind, without their prefix, as they come in the file."""
        return [s.partition(".")[2] for s in self._parser.sections() if s.startswith(f"{kind}.")]

    def pick(self, kind: Kind, name: str | None, usual: str) -> str:
        """The section that is meant: `name`; else `usual`, or the only one that there is.

        Raises UsageError where there is no such section, and where it inherits from none or in a circle.
        """
        names = self.names(kind)
        wanted = names[0] if name is None and usual not in names and len(names) == 1 else name or usual
        if wanted in names:
            self._line(f"{kind}.{wanted}")
            return wanted
        why = f"; choose with {OPTIONS[kind]}" if name is None else ""
        hint = suggest(wanted, names) if name else ""
        listed = f"It has {', '.join(names)}{why}." if names else f"It has no section [{kind}.NAME] at all."
        raise UsageError(
            f"{self.where} has no {CALLED[kind]} {wanted!r}. {hint if 'mean' in hint else ''}".rstrip() + f" {listed}"
        )

    def rates(self, name: str, port_bytes: int) -> dict[str, int | float]:
        """What a System_Config says of its speed, as the fields of a target's system.

        The clock in Hz; bytes a cycle of what is on the two ports of `port_bytes` each: ports used x clock scale. Raises
        UsageError where an option is no number.
        """
        section = f"System_Config.{name}"
        found: dict[str, int | float] = {}
        if (clock := self._number(section, "core_clock", 1)) is not None:
            found["clock_hz"] = round(clock)
        for port in ("axi0_port", "axi1_port"):
            memory = self._option(section, port) or "Sram"
            if memory not in FIELDS:
                raise UsageError(f"{self.where}: {port} of [{section}] is {memory!r}; expected {', '.join(FIELDS)}.")
            scale = self._number(section, f"{memory}_clock_scale")
            ports = self._number(section, f"{memory}_ports_used")
            found[f"{FIELDS[memory]}_bytes_per_cycle"] = (
                port_bytes * (1.0 if scale is None else scale) * max(1, int(ports or 1))
            )
        return found

    @property
    def digest(self) -> str:
        """A few letters that name the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:8]

    def _line(self, section: str) -> list[str]:
        """A section and those that it inherits from."""
        line = [section]
        while parent := self._parser.get(line[-1], "inherit", fallback=None):
            if parent in line:
                raise UsageError(f"{self.where}: [{section}] inherits in a circle: {' from '.join([*line, parent])}.")
            if not self._parser.has_section(parent):
                known = suggest(parent, self._parser.sections())
                raise UsageError(
                    f"{self.where}: [{line[-1]}] inherits from {parent!r}, which it does not have. {known}".rstrip()
                )
            line.append(parent)
        return line

    def _option(self, section: str, option: str) -> str | None:
        """As Vela reads it: a section's own word counts before that of the one it inherits from."""
        for each in self._line(section):
            if self._parser.has_option(each, option):
                return self._parser.get(each, option)
        return None

    def _number(self, section: str, option: str, least: float = 0.0) -> float | None:
        text = self._option(section, option)
        try:
            number = None if text is None else float(text)
        except ValueError:
            number = -1.0
        if number is not None and not (0 < number < 1e18 and number >= least):
            expected = f"a number from {least} up" if least else "a number above 0"
            raise UsageError(f"{self.where}: {option} of [{section}] is {text!r}; expected {expected}.")
        return number
