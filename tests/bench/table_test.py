#!/usr/bin/python3
"""What the table makes of pairs: which count, which are thrown away, what is reached. Looks and pairs are made up; no party is started."""
import importlib.machinery
import importlib.util
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.dont_write_bytecode = True
import machine  # noqa: E402
from rows import Measurement, Row  # noqa: E402


def load_table():
    loader = importlib.machinery.SourceFileLoader("table", str(HERE / "run"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("table", loader))
    loader.exec_module(module)
    return module


table = load_table()
NEAR, FAR = [45.0, 51.0, 44.0, 46.0], [196.0, 209.0, 201.0, 199.0]


class Machine:
    """A context whose looks are given, pair by pair, with the ratio of each pair and what was stolen meanwhile."""

    def __init__(self, *rounds, pairs=5):
        self.rounds, self.pairs, self.nearness, self.now = rounds, pairs, machine.Nearness("/nonexistent"), (NEAR, 1.0, 0.0)
        table.Steal = lambda: self

    def share(self):
        return self.now[2]

    def measure(self):
        def pairs(ctx):
            for self.now in self.rounds:
                ctx.nearness.looks += self.now[0]
                yield {"X": (self.now[1], 1.0, {})}
        row = Row("X", "made up", 1, 2)
        measurement = Measurement([row], pairs, "a", "b")
        return table.judge(row, measurement, table.take(self, measurement), self.pairs)


def test_a_pair_between_two_levels_is_taken_again():
    found = Machine((NEAR, 3, 0), (NEAR[:2] + FAR[:2], 9, 0), (NEAR, 3, 0), pairs=2).measure()
    return found["ratios"] == [3, 3] and found["mixed_pairs"] == 1 and found["rejected_pairs"] == 1 and found["level"] == "near"


def test_a_look_that_told_nothing_throws_its_pair_away():
    found = Machine((NEAR[:3] + [None], 9, 0), (NEAR, 3, 0), pairs=1).measure()
    return found["ratios"] == [3] and found["mixed_pairs"] == 1


def test_what_is_thrown_away_is_bounded():
    found = Machine(*[(NEAR[:2] + FAR[:2], 9, 0)] * 20, pairs=3).measure()
    return found["reached"] is None and found["verdict"] == "rejected: mixed levels" and found["mixed_pairs"] == 4


def test_stolen_pairs_are_taken_again():
    found = Machine((NEAR, 9, 0.05), (NEAR, 3, 0.01), pairs=1).measure()
    return found["ratios"] == [3] and found["rejected_pairs"] == 1 and found["mixed_pairs"] == 0


def test_near_pairs_count_where_they_are_most():
    found = Machine((NEAR, 3, 0), (FAR, 1, 0), (NEAR, 4, 0), (FAR, 1, 0), (NEAR, 5, 0)).measure()
    return found["reached"] == 4 and found["counted_pairs"] == 3 and found["by_level"] == {"near": 4, "far": 1} and found["level"] == "3 near 2 far"


def test_all_pairs_count_where_near_ones_are_few():
    found = Machine((NEAR, 3, 0), (FAR, 1, 0), (FAR, 1.5, 0), (FAR, 1, 0), (NEAR, 5, 0)).measure()
    return found["reached"] == 1.5 and found["counted_pairs"] == 5 and found["verdict"] == "floor"


def test_rows_without_looks_have_no_level():
    found = Machine(([], 3, 0), ([], 5, 0), pairs=2).measure()
    return found["reached"] == 4 and "level" not in found and found["mixed_pairs"] == 0


def test_parts_of_one_run_have_its_level():
    found = Machine((FAR[:2], 3, 0), ([], 4, 0), ([], 5, 0), pairs=3).measure()
    return found["level"] == "far" and found["by_level"] == {"far": 4}


def test_a_row_may_have_no_goal():
    row = Row("X", "made up", None, None)
    return table.verdict_of(row, 0.1) == "no goal" and table.verdict_of(Row("X", "made up", 1, 2), 0.1) == "BELOW" and table.goal(None).strip() == "-"


def test_the_probe_says_what_is_read_of_it():
    """Two busy cores may tell nothing, which is an answer, too."""
    if len(sys.argv) < 2:
        return True
    nearness = machine.Nearness(sys.argv[1])
    for _ in range(5):
        nearness.look()
    looks = nearness.taken()
    text = subprocess.run([sys.argv[1], "0", "1"], capture_output=True, text=True)
    return len(looks) == 5 and all(ns is None or 1 < ns < 1e6 for ns in looks) and ("handover" in text.stdout) == (text.returncode == 0)


def main():
    tests = [(name, value) for name, value in globals().items() if name.startswith("test_")]
    bad = 0
    for n, (name, test) in enumerate(tests, 1):
        good = test()
        bad += not good
        print(f"{'' if good else 'not '}ok {n} - {name[5:].replace('_', ' ')}")
    print(f"1..{len(tests)}")
    return min(bad, 1)


if __name__ == "__main__":
    sys.exit(main())
