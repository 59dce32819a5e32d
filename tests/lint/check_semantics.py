#!/usr/bin/env python3
"""Checks that every test that docs/semantics.md names is there, in the program it names.

A row of a table there is "| point | `program` | name of the test |"; rows without a point continue the one above.

usage: check_semantics.py [ROOT]     exit status 1 when something is missing
       check_semantics.py --self-test
"""
import pathlib
import re
import sys
import tempfile

ROW = re.compile(r"^\|(?P<point>[^|]*)\| `(?P<program>\w+)` \| (?P<test>[^|]+) \|$")
PROGRAM = re.compile(r"\bwherry_test\(\s*(?P<name>\w+)\s+SOURCES\s+(?P<sources>[^)]*?)\s*(?:DEPS|TIMEOUT|\))")
TEST = re.compile(r'\bTEST_CASE\(\s*(?P<parts>(?:"(?:\\.|[^"\\])*"\s*)+)')


def names(source):
    """The names of a source's tests; literals that follow each other are one."""
    for match in TEST.finditer(source.read_text()):
        yield "".join(re.findall(r'"((?:\\.|[^"\\])*)"', match["parts"])).replace('\\"', '"')


def programs(root):
    """The names of each test program's tests."""
    found = {}
    for listed in sorted((root / "tests").rglob("CMakeLists.txt")):
        for match in PROGRAM.finditer(re.sub("#.*", "", listed.read_text())):
            tests = found.setdefault(match["name"], [])
            for source in match["sources"].split():
                tests.extend(names(listed.parent / source))
    return found


def faults(root):
    """What is wrong, as text."""
    there = programs(root)
    point, seen = "", set()
    for number, line in enumerate((root / "docs/semantics.md").read_text().splitlines(), 1):
        if not line.startswith("|") or line.startswith("|---") or line == "| point | program | test |":
            continue
        where = f"docs/semantics.md:{number}: "
        row = ROW.match(line)
        if not row:
            yield where + "not a row of point, program and test"
            continue
        point = row["point"].strip() or point
        if not point:
            yield where + "a test without a point"
        if row["program"] not in there:
            yield where + f"no test program {row['program']}"
        elif row["test"] not in there[row["program"]]:
            yield where + f"{row['program']} has no test \"{row['test']}\""
        if (point, row["program"], row["test"]) in seen:
            yield where + "named twice"
        seen.add((point, row["program"], row["test"]))
    if not seen:
        yield "docs/semantics.md: no rows"


def self_test():
    table = "| point | program | test |\n|---|---|---|\n"
    good = "| a | `x_test` | It works |\n| | `x_test` | In two parts |\n"
    cases = [
        (table + good, 0),
        (table, 1),
        (table + "| a | `x_test` | It worked |\n", 1),
        (table + "| a | `y_test` | It works |\n", 1),
        (table + "| a | `x_test` | It is commented on |\n", 1),
        (table + "| a | x_test | It works |\n" + good, 1),
        (table + good + "| a | `x_test` | It works |\n", 1),
    ]
    with tempfile.TemporaryDirectory() as directory:
        root = pathlib.Path(directory)
        (root / "docs").mkdir()
        (root / "tests").mkdir()
        (root / "tests/CMakeLists.txt").write_text(
            "# wherry_test(NAME SOURCES ...)\nwherry_test(x_test\n  SOURCES\n    a.cc b.cc\n  DEPS other)\n")
        (root / "tests/a.cc").write_text('TEST_CASE("It works") {}\n// "It is commented on"\n')
        (root / "tests/b.cc").write_text('TEST_CASE("In two "\n          "parts", "[tag]") {}\n')
        for text, wanted in cases:
            (root / "docs/semantics.md").write_text(text)
            found = list(faults(root))
            if len(found) != wanted:
                print(f"wanted {wanted} faults, found {found} in\n{text}")
                return 1
    return 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    found = list(faults(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")))
    for fault in found:
        print(fault)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
