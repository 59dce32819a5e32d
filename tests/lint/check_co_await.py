#!/usr/bin/env python3
"""Finds temporaries that GCC 12 miscompiles inside co_await expressions.

An aggregate temporary (a braced list) or a capturing lambda within the full expression of a co_await is copied bit by bit into the
coroutine's frame and destroyed twice. Name it in a local and move it.

usage: check_co_await.py DIRECTORY...     exit status 1 when something is found
       check_co_await.py --self-test
"""
import pathlib
import re
import sys

WORD = re.compile(r"\bco_await\b")


def blank(text):
    """The text with comments and the insides of literals made spaces, line breaks kept."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])\'', re.S)
    return pattern.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)


def expression_end(text, start):
    """Where the expression that begins at `start` ends: at a ; or an unmatched closing bracket, braces counted."""
    depth = 0
    for at in range(start, len(text)):
        c = text[at]
        if c in "([{":
            depth += 1
        elif c in ")]}":
            depth -= 1
            if depth < 0:
                return at
        elif c == ";" and depth == 0:
            return at
    return len(text)


def faults(text):
    """(line, what) of each fault."""
    text = blank(text)
    for match in WORD.finditer(text):
        expression = text[match.end():expression_end(text, match.end())]
        line = text.count("\n", 0, match.start()) + 1
        # A lambda: brackets that follow neither a name nor a closing bracket, then its parameters or body.
        lambda_at = re.search(r"(?<![\w)\]])\s*(?:(?<=[(,\s])|^)\[([^\]]*)\]\s*[({]", expression)
        brace = expression.find("{")
        if lambda_at and lambda_at.group(1).strip():
            yield line, "a capturing lambda"
        elif brace >= 0 and not (lambda_at and lambda_at.start() <= brace):
            yield line, "a braced temporary"


SELF_TEST = [
    ("auto a = co_await F(std::move(x));", 0),
    ("co_await Commit({1, 2});", 1),
    ("co_await Commit(Mutation{a});", 1),
    ("co_await F(\n    a,\n    Options{});", 1),
    ("co_await F([this] { return 1; });", 1),
    ("co_await F(a, [x = std::move(y)](int) mutable { Use(x); });", 1),
    ("co_await F([] { return 1; });", 0),
    ("auto r = co_await F(items[0], map[key]);", 0),
    ("if (ok) { co_await F(a); } else { G({1}); }", 0),
    ('co_await F("{", \'{\');  // {', 0),
    ("co_await wakeup.Wait();\nG({1});", 0),
    ("Status s = co_await F(co_await G(A{}));", 2),
]


def main(arguments):
    if arguments == ["--self-test"]:
        wrong = [code for code, count in SELF_TEST if len(list(faults(code))) != count]
        for code in wrong:
            print("misjudged: " + code)
        return 1 if wrong else 0
    found = 0
    for directory in arguments:
        for path in sorted(pathlib.Path(directory).rglob("*")):
            if path.suffix not in (".cc", ".h"):
                continue
            for line, what in faults(path.read_text(encoding="utf-8")):
                print(f"{path}:{line}: {what} inside a co_await expression: name it in a local and move it")
                found += 1
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
