"""Inputs made worse: bytes, JSON and lines of text, by a seeded generator."""

import json
import math
import random

NUMBERS = [
    0,
    -1,
    1,
    2,
    255,
    65536,
    -(1 << 31),
    1 << 31,
    1 << 53,
    1 << 63,
    1 << 64,
    10**30,
    0.5,
    -0.0,
    1e308,
    math.nan,
    math.inf,
    -math.inf,
]
TEXTS = [
    "", " ", "\0", "x", "\n", "é", "\ud7ff", "[/x]", ":ok:", "[bold]", "../..", "/etc/passwd", "/dev/zero", "a:b", "os:getcwd",
    "../evil:make", "x.onnx", "x.toml", "csv /etc/passwd", "sh -c 'touch RAN' {cin} {cout}", "command touch RAN {cin}{cout}", "unit:0",
    "unit:99999999999", "int64", "float32", "\x1b[31m", "%(a)s", "{cin", "1,2,3", "nan", "-1", "1e999", "9" * 5000, "x" * 20000,
]  # fmt: skip
LINES = [
    "",
    "[",
    "]",
    "=",
    "a = 1",
    "[[fact]]",
    "[compute.int8]",
    '"',
    "'''",
    "\0",
    ",",
    ",,,,,,,,,,",
    "#",
    "\x85",
    "-",
    "nan",
    "1_0",
    "٣",
]


def hostile(rng: random.Random) -> object:
    """A value that nobody expects there."""
    kind = rng.randrange(8)
    if kind < 3:
        return rng.choice(NUMBERS)
    if kind < 6:
        return rng.choice(TEXTS)
    if kind == 6:
        return rng.choice([None, True, False, [], {}, [[]], {"": {}}, [None] * 50])
    tree: object = 0
    for _ in range(rng.choice([2, 50, 400])):
        tree = [tree] if rng.random() < 0.5 else {"a": tree}
    return tree


def worse_json(rng: random.Random, text: str) -> str:
    """JSON with one to three places changed, or broken as text."""
    if rng.random() < 0.1:
        return worse_bytes(rng, text.encode()).decode("utf-8", errors="replace")
    tree = json.loads(text)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        tree = _changed(rng, tree)
    return json.dumps(tree)


def _changed(rng: random.Random, tree: object, depth: int = 0) -> object:
    if isinstance(tree, dict) and tree and (depth == 0 or rng.random() < 0.7):
        key = rng.choice(list(tree))
        change = rng.randrange(10)
        if change == 0:
            return {k: v for k, v in tree.items() if k != key}
        if change == 1:
            return {**tree, str(rng.choice(TEXTS)): hostile(rng)}
        return {**tree, key: _changed(rng, tree[key], depth + 1)}
    if isinstance(tree, list) and tree and rng.random() < 0.7:
        place, change = rng.randrange(len(tree)), rng.randrange(8)
        if change == 0:
            return tree[:place] + tree[place + 1 :]
        if change == 1:
            return tree[:place] + [tree[place]] * 2 + tree[place + 1 :]
        return [*tree[:place], _changed(rng, tree[place], depth + 1), *tree[place + 1 :]]
    if isinstance(tree, int | float) and not isinstance(tree, bool) and rng.random() < 0.4:
        return tree + rng.choice([-1, 1, 1000, -tree, 0.5])
    return hostile(rng)


def worse_bytes(rng: random.Random, data: bytes) -> bytes:
    """Bytes with some flipped, cut, repeated, put in or zeroed."""
    out = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 4, 16])):
        place = rng.randrange(len(out) + 1)
        size = min(rng.choice([1, 1, 2, 4, 8, 64, 1024]), len(out) - place)
        change = rng.randrange(7)
        if change == 0 and place < len(out):
            out[place] ^= 1 << rng.randrange(8)
        elif change == 1:
            del out[place : place + size]
        elif change == 2:
            out[place:place] = out[place : place + size]
        elif change == 3:
            out[place:place] = rng.randbytes(rng.choice([1, 4, 8]))
        elif change == 4:
            out[place : place + size] = bytes(size)
        elif change == 5:
            out[place : place + size] = b"\xff" * size
        elif rng.random() < 0.2:
            del out[place:]
    return bytes(out)


def worse_text(rng: random.Random, text: str) -> bytes:
    """Lines and words changed, repeated, exchanged, put in; rarely a mark in front, or bytes that are no text."""
    lines = text.splitlines()
    for _ in range(rng.choice([1, 1, 2, 5])):
        place = rng.randrange(len(lines) + 1)
        change = rng.randrange(6)
        if change == 0 or place == len(lines):
            lines.insert(place, rng.choice(LINES))
        elif change == 1:
            lines.pop(place)
        elif change == 2:
            lines.insert(rng.randrange(len(lines)), lines[place])
        else:
            for mark in rng.sample([",", "=", " ", "."], 4):
                parts = lines[place].split(mark)
                if len(parts) > 1:
                    value = hostile(rng)
                    parts[rng.randrange(len(parts))] = value if isinstance(value, str) else json.dumps(value)
                    lines[place] = mark.join(parts)
                    break
    out = ("\n".join(lines) + "\n").encode("utf-8", errors="replace")
    return rng.choice([out] * 20 + [b"\xef\xbb\xbf" + out, worse_bytes(rng, out), out.decode().encode("utf-16")])
