"""Files that are whole or not there, and what tells contents apart."""

import hashlib
import json
import os
from pathlib import Path


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file beside its place and move it there, so that no reader sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        with scratch.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())  # before its name: a loss of power must not leave an empty file there
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def write_json(path: Path, data: object, indent: int | None = 1) -> None:
    """Write `data` as JSON with a newline at its end, whole or not at all. Raises TypeError for what JSON cannot hold."""
    write_atomically(path, json.dumps(data, indent=indent) + "\n")


def canonical(data: object) -> bytes:
    """Data as JSON in the one form that a digest is taken of."""
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode()


def digest_of_file(path: Path) -> str:
    """16 hex digits (the first of SHA-256) of a file's content, of any size."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def digest(*parts: bytes | memoryview) -> str:
    """16 hex digits (the first of SHA-256) of the parts joined: where one ends and the next begins makes no difference."""
    state = hashlib.sha256()
    for part in parts:
        state.update(part)
    return state.hexdigest()[:16]
