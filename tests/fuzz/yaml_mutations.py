"""Hostile configuration files: tags that would build objects, aliases that multiply, text that is no YAML."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from .payloads import TRACE

__all__ = ["TEXT_MUTATIONS"]

Rng = np.random.Generator
Lines = list[str]


def _at(rng: Rng, lines: Lines) -> int:
    return int(rng.integers(len(lines) + 1))


_TAGS = (
    f"!!python/object/apply:os.mkdir [{TRACE!r}]",
    f"!!python/object/apply:os.system ['touch {TRACE}']",
    f"!!python/object/new:subprocess.Popen [['touch', {TRACE!r}]]",
    "!!python/name:os.system",
    "!!python/module:antigravity",
    "!!python/tuple [1, 2]",
    "!!python/object:pathlib.Path {}",
    "!!binary 'AAAA'",
    "!!binary 'a'",
    "!!timestamp 'no'",
    "!!timestamp '2001-99-99'",
    "!!timestamp '0001-01-01T00:00:00+23:59'",
    "!!bool 'perhaps'",
    "!!int 'x'",
    "!!float 'x'",
    "!!null 'x'",
    "!!set {a, b}",
    "!!omap [a: 1]",
    "!!pairs [a: 1]",
    "!!str [a]",
    "!!seq a",
    "!!map a",
    "!!merge a",
    "!!value =",
    "!local 3",
    "! 3",
    "!<> 3",
    "!e!x 3",
)


def tag(rng: Rng, lines: Lines) -> None:
    """A field gets a value with a tag."""
    fields = [at for at, line in enumerate(lines) if ": " in line]
    value = _TAGS[rng.integers(len(_TAGS))]
    if fields and rng.random() < 0.7:
        at = fields[rng.integers(len(fields))]
        lines[at] = lines[at].partition(": ")[0] + ": " + value
    else:
        lines.insert(_at(rng, lines), f"? {value}\n: 1" if rng.random() < 0.5 else f"zz: {value}")


def alias_bomb(rng: Rng, lines: Lines) -> None:
    """Each line ten times the one before it."""
    depth = int(rng.integers(3, 12))
    bomb = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, depth)]
    use = (
        f"nepochs: *a{depth - 1}",
        f"model: *a{depth - 1}",
        f"? *a{depth - 1}\n: 1",
        f"model: {{N: *a{depth - 1}}}",
    )
    lines[:0] = [*bomb, use[rng.integers(4)]]


def mapping_bomb(rng: Rng, lines: Lines) -> None:
    depth = int(rng.integers(3, 12))
    bomb = ["a0: &a0 {x: 1}"] + [
        f"a{n}: &a{n} {{{', '.join(f'k{k}: *a{n - 1}' for k in range(10))}}}" for n in range(1, depth)
    ]
    lines[:0] = [
        *bomb,
        (f"model: *a{depth - 1}", f"? *a{depth - 1}\n: 1", f"<<: *a{depth - 1}")[rng.integers(3)],
    ]


def refers_to_itself(rng: Rng, lines: Lines) -> None:
    loops = ("model: &m {N: 64, self: *m}", "devices: &d [*d]", "? &k [*k]\n: 1", "&a a: *a", "model: *none")
    lines.insert(_at(rng, lines), loops[rng.integers(len(loops))])


def nested(rng: Rng, lines: Lines) -> None:
    deep = int(rng.integers(10, 4000))
    kinds = (
        "[" * deep,
        "{a: " * deep,
        "- " * deep,
        "? " * deep,
        "\n".join(" " * n + "a:" for n in range(deep % 400)),
    )
    lines.insert(_at(rng, lines), "model: " + kinds[rng.integers(len(kinds))])


def value(rng: Rng, lines: Lines) -> None:
    """A field gets a value of another kind."""
    fields = [at for at, line in enumerate(lines) if ": " in line]
    if not fields:
        return
    values = (
        "[1, 2]",
        "{a: b}",
        "-1",
        "0",
        "1e999",
        ".nan",
        "9" * 5000,
        "'a\\nb'",
        '"\\e[2J\\0\\ud800"',
        '"' + "x" * 3000 + '"',
        "../../etc/passwd",
        "0x10",
        "2001-01-01",
        "null",
        "yes",
        "|\n    block\n    text",
        "&a",
        "*a",
        "@",
        "`",
        "%",
    )
    at = fields[rng.integers(len(fields))]
    lines[at] = lines[at].partition(": ")[0] + ": " + values[rng.integers(len(values))]


def key(rng: Rng, lines: Lines) -> None:
    keys = (
        "nepoch: 3",
        "nepochs: 3\nnepochs: 4",
        "N: 64",
        "probe.trainable: true",
        "learning_rate: 1",
        "1: 2",
        "null: 2",
        "[1, 2]: 3",
        "{a: 1}: 3",
        '"a\\nb": 3',
        '"\\e[2J": 3',
        '"\\ud800": 3',
        "x" * 900 + ": 1",
        '"' + "y" * 5000 + '": 1',
        "__class__: os.system",
        "model: 3",
        "model:",
        "execution: [1]",
        "execution: {devices: -3}",
        "<<: {nepochs: 3}",
        "? |\n  a\n  b\n: 1",
    )
    lines.insert(_at(rng, lines), keys[rng.integers(len(keys))])


def many_keys(rng: Rng, lines: Lines) -> None:
    count = int(rng.integers(50, 800))
    lines += [f"unknown_setting_{n}: {n}" for n in range(count)]


def line_gone(rng: Rng, lines: Lines) -> None:
    if lines:
        del lines[rng.integers(len(lines))]


def line_moved(rng: Rng, lines: Lines) -> None:
    if lines:
        line = lines.pop(int(rng.integers(len(lines))))
        lines.insert(_at(rng, lines), " " * int(rng.integers(0, 6)) + line)


def odd_characters(rng: Rng, lines: Lines) -> None:
    odd = (
        "\t",
        "\0",
        "\x1b",
        "\x85",
        "\u2028",
        "\ufeff",
        "\U0001f600",
        "\x7f",
        "\r",
        "---",
        "...",
        "%YAML 9.9",
        "{",
        "]",
    )
    lines.insert(_at(rng, lines), odd[rng.integers(len(odd))] * int(rng.integers(1, 4)))


TEXT_MUTATIONS: Mapping[str, Callable[[Rng, Lines], None]] = {
    function.__name__: function
    for function in (
        tag,
        alias_bomb,
        mapping_bomb,
        refers_to_itself,
        nested,
        value,
        key,
        many_keys,
        line_gone,
        line_moved,
        odd_characters,
    )
}
