"""What is known beforehand: the tables beside this file, and what may not be in them."""

import csv
import os
from dataclasses import dataclass

HERE = os.path.dirname(os.path.abspath(__file__))
GROUPS = ("design", "binding", "dialect")
DESIGN_ROWS_MAX = 15  # for each mode


class BadTable(Exception):
    """A table says something that it must not say."""


@dataclass(frozen=True)
class Difference:
    """One row of differences.tsv: a test that gives another result through Countersign, and why."""

    mode: str
    test: str
    direct: str
    proxied: str
    group: str
    reason: str


def _rows(name, columns):
    """The rows of one table; every cell has to be filled."""
    path = os.path.join(HERE, name)
    with open(path, encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    if lines[0] != columns:
        raise BadTable(f"{name}: the columns are {' '.join(columns)}")
    for number, cells in enumerate(lines[1:], 2):
        if len(cells) != len(columns) or not all(cell.strip() == cell != "" for cell in cells):
            raise BadTable(f"{name}:{number}: {len(columns)} cells are wanted, none of them empty")
    return lines[1:]


def _keyed(name, pairs):
    """A dictionary, when no key comes twice."""
    found = {}
    for key, value in pairs:
        if key in found:
            raise BadTable(f"{name}: {key} is there twice")
        found[key] = value
    return found


def read_differences(modes, tests):
    """differences.tsv by mode and test. `modes` and `tests` are all that there are."""
    name, modes = "differences.tsv", {mode.name: mode for mode in modes}
    rows = [Difference(*cells) for cells in
            _rows(name, ["mode", "test", "direct", "proxied", "group", "reason"])]
    for row in rows:
        if row.mode not in modes or row.test not in tests or row.group not in GROUPS:
            raise BadTable(f"{name}: no such mode, test or group: {row.mode}, {row.test}, {row.group}")
        if row.group == "dialect" and not modes[row.mode].client_speaks_more:
            raise BadTable(f"{name}: {row.mode}, {row.test}: both clients speak the same dialect")
        if row.direct == row.proxied:
            raise BadTable(f"{name}: {row.mode}, {row.test}: that is no difference")
    for mode in modes:
        design = sum(row.mode == mode and row.group == "design" for row in rows)
        if design > DESIGN_ROWS_MAX:
            raise BadTable(f"{name}: {mode}: {design} rows of the group design, "
                           f"{DESIGN_ROWS_MAX} are too many already")
    return _keyed(name, (((row.mode, row.test), row) for row in rows))


def read_flaky(tests):
    """flaky.tsv: tests that give now this and now that without Countersign too, with the reason."""
    flaky = _keyed("flaky.tsv", _rows("flaky.tsv", ["test", "reason"]))
    for test in flaky:
        if test not in tests:
            raise BadTable(f"flaky.tsv: no such test: {test}")
    return flaky


def read_left_out(suites):
    """left-out.tsv: tests that cannot be compared, with the reason. A suite stands for its tests."""
    left_out = {}
    for name, reason in _rows("left-out.tsv", ["test", "reason"]):
        tests = suites.get(name) or [test for tests in suites.values() for test in tests if test == name]
        if not tests:
            raise BadTable(f"left-out.tsv: no such suite or test: {name}")
        left_out.update(dict.fromkeys(tests, reason))
    return left_out
