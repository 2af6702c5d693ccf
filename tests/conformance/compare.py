"""One mode from beginning to end: all sides run, each test is compared, each difference is judged."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from sides import all_sides


def outcome(direct, proxied):
    """Two results as words of the table. A failure at another place is not the same failure."""
    if direct.what == proxied.what and direct.place != proxied.place and direct.what != "skip":
        return direct.what, proxied.what + " elsewhere"
    return direct.what, proxied.what


@dataclass
class Tally:
    """What became of the tests of one mode, in lists of their names."""

    alike: list = field(default_factory=list)
    more: list = field(default_factory=list)  # skipped by the client that speaks less, and passed
    design: list = field(default_factory=list)
    binding: list = field(default_factory=list)
    dialect: list = field(default_factory=list)
    flaky: list = field(default_factory=list)
    settled: list = field(default_factory=list)  # as expected only when they were tried again
    failed: list = field(default_factory=list)
    results: dict = field(default_factory=dict)
    limited: dict = field(default_factory=dict)  # of the rows of the group dialect
    seconds: float = 0.0

    @property
    def passed(self):
        """How many tests were as the tables say."""
        return sum(map(len, (self.alike, self.more, self.design, self.binding, self.dialect, self.flaky)))


class Comparison:
    """The tests of one mode. `known` are the rows of differences.tsv by mode and test."""

    def __init__(self, mode, suites, known, flaky):
        self.mode, self.suites, self.known, self.flaky = mode, suites, known, flaky
        self.directory = mode.name.replace(" ", "-")
        self.tally = Tally()

    def _row(self, test):
        return self.known.get((self.mode.name, test))

    def _is_more(self, direct, proxied):
        """Did the test need a dialect that only the client of Countersign speaks?"""
        return self.mode.client_speaks_more and outcome(direct, proxied) == ("skip", "pass")

    def _by_dialect(self, test):
        """Does the table say that it is the client's dialect that makes the difference?"""
        row = self._row(test)
        return row and row.group == "dialect"

    def _expected(self, test, direct, proxied):
        """Are these results what the table says? What the dialect explains must be gone with it."""
        row, found = self._row(test), outcome(direct, proxied)
        if self._by_dialect(test) and len(set(outcome(direct, self.tally.limited[test]))) > 1:
            return False
        if row:
            return found == (row.direct, row.proxied)
        return found[0] == found[1] or self._is_more(direct, proxied)

    def run(self, directory):
        """Runs everything and returns the tally."""
        begun = time.monotonic()
        with all_sides(self.mode, directory) as sides, ThreadPoolExecutor(3) as pool:
            for suite, tests in self.suites.items():
                since = time.monotonic()
                limited = pool.submit(self._run_limited, sides.limited, tests)
                direct, proxied = pool.map(lambda side: side.suite(suite, tests), sides[:2])
                limited.result()
                for test in tests:
                    self.tally.results[test] = direct[test], proxied[test]
                print(f"  {self.mode.name}: {suite}: {len(tests)} tests, "
                      f"{time.monotonic() - since:.1f} s", flush=True)
            for test in self.tally.results:
                self._judge(test, lambda test=test: self._again(sides, pool, test))
        self.tally.seconds = time.monotonic() - begun
        return self.tally

    def _run_limited(self, side, tests):
        for test in filter(self._by_dialect, tests):
            self.tally.limited[test] = side.alone(test)

    def _again(self, sides, pool, test):
        limited = pool.submit(self._run_limited, sides.limited, [test])
        results = tuple(pool.map(lambda side: side.alone(test), sides[:2]))
        limited.result()
        return results

    def _judge(self, test, again):
        """Puts one test into its list. What contradicts the tables is tried once more, alone."""
        tally, row = self.tally, self._row(test)
        if not self._expected(test, *tally.results[test]):
            first, tally.results[test] = tally.results[test], again()
            if self._expected(test, *tally.results[test]):
                tally.settled.append(f"{test}: {' and '.join(outcome(*first))} at first")
            elif test in self.flaky:
                tally.flaky.append(test)
                return
            else:
                tally.failed.append(test)
                return
        if row:
            getattr(tally, row.group).append(test)
        elif self._is_more(*tally.results[test]):
            tally.more.append(test)
        else:
            tally.alike.append(test)

    def explain(self, test):
        """Why a test failed, in lines."""
        direct, proxied = self.tally.results[test]
        row, (one, other) = self._row(test), outcome(direct, proxied)
        lines = [f"FAILED {self.mode.name}: {test}: {one} directly, {other} through Countersign"]
        if row:
            lines.append(f"    differences.tsv says {row.direct} and {row.proxied}"
                         + (": take the row out" if one == other else ""))
        sides = [("directly", direct), ("through Countersign", proxied)]
        if test in self.tally.limited:
            limited = self.tally.limited[test]
            sides.append(("through Countersign with a client of the file server's dialect", limited))
            lines.append(f"    {outcome(direct, limited)[1]} with a client of the file server's dialect")
        for name, result in sides:
            if result.text:
                lines.append(f"    {name}: {result.text}")
        return lines
