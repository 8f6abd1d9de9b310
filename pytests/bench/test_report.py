"""The rules by which figures are compared: who is a peer, what a ratio is of, when a difference is one."""

import subprocess
import sys
import types
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import budgets  # noqa: E402
import report  # noqa: E402
import run  # noqa: E402
import workloads  # noqa: E402

PLAIN, SLEEP, MIX = (workloads.BY_NAME[name] for name in ("plain", "sleep5ms", "mix"))


def row(figure, *values, **more):
    rounds = [{figure: value, "errors": 0, "requests": 1} for value in values]
    return {**report.summary(rounds), "rounds": rounds, **more}


def test_the_best_peer_has_the_least_cpu_or_the_highest_rate():
    rows = {"fastwsgi": row("cpu", 5), "bjoern": row("cpu", 6), "gowsgi": row("cpu", 1), "floor": row("cpu", 2)}
    assert report.best_peer(PLAIN, rows) == "fastwsgi"
    rows = {"uwsgi": row("rate", 300), "granian": row("rate", 310)}
    assert report.best_peer(SLEEP, rows) == "granian"
    assert report.best_peer(PLAIN, {"gowsgi": row("cpu", 1), "floor": row("cpu", 2)}) is None


@pytest.mark.parametrize("fault", [{"unfit": "died"}, {"errors": 3}, {"unclosed": True}])
def test_who_failed_or_left_something_out_is_no_measure(fault):
    rows = {"fastwsgi": row("cpu", 5, **fault), "bjoern": row("cpu", 6)}
    assert report.best_peer(PLAIN, rows) == "bjoern"


def test_who_could_not_be_measured_is_listed_with_the_reason():
    assert "| fastwsgi | died |" in report.table(PLAIN, {"fastwsgi": {"unfit": "died", "rounds": []}})


def test_versions_are_the_servers_own():
    versions = {
        "gowsgi": {"Python": "3.11.7", "greenlet": "3.5.6"},
        "meinheld": {"meinheld": "1.0.2", "greenlet": "0.4"},
    }
    document = {
        "versions": versions,
        "gowsgi": "v1-2-gabc",
        "command": "make bench",
        "date": "2026-01-01",
        "tools": {"wrk": "wrk 4"},
        "options": {"seconds": 1, "rounds": 5},
        "machine": {"cpu": "a CPU", "cores": 2, "kernel": "6.1", "load": 0.1},
    }
    assert ": gowsgi v1-2-gabc, meinheld 1.0.2; Python 3.11.7; wrk 4" in report.head(document)


def test_a_table_and_a_budget_of_websockets():
    rows = {"gowsgi": row("cpu", 4), "websockets": row("cpu", 9), "meinheld": row("cpu", 5)}
    for one in rows.values():
        one.update(report.summary([{"errors": 0, **dict.fromkeys(("rate", "user", "system", "p50", "p99", "pss"), 4)}]))
    assert "| server | messages/s |" in report.table(workloads.BY_NAME["websocket"], rows)
    text = budgets.text({"results": {"websocket": rows}, "machine": {}})
    assert "| websocket: CPU by the best peer's | ≤ 1.00 | 0.80 | met (meinheld) |" in text


def test_where_the_application_blocks_a_server_needs_threads_that_block():
    rows = {"gunicorn-gevent": row("rate", 900), "bjoern": row("rate", 800), "granian": row("rate", 300)}
    assert report.best_peer(SLEEP, rows) == "granian"


def test_a_connection_for_each_request_is_no_measure_of_latency():
    rows = {"uwsgi-socket": row("p50", 0.05), "granian": row("p50", 0.1)}
    assert report.best_peer(MIX, rows) == "granian"


def test_a_ratio_is_the_median_of_the_rounds_own():
    rows = {"gowsgi": row("cpu", 1, 20, 3), "bjoern": row("cpu", 2, 40, 4)}
    assert report.ratio(rows, "gowsgi", "bjoern", "cpu") == 0.5  # 0.75 is that of the medians
    assert report.ratio(rows, "gowsgi", "waitress", "cpu") is None


@pytest.mark.parametrize(
    "workload, own, other, expected",
    [
        (PLAIN, (5, 5.1, 5.2), (6, 6.1, 6.2), "ahead"),
        (PLAIN, (6, 6.1, 6.2), (5, 5.1, 5.2), "behind"),
        (PLAIN, (5, 5.5, 6), (5.1, 5.6, 6.1), "level"),
        (SLEEP, (300, 301, 302), (310, 311, 312), "behind"),
        (SLEEP, (310, 311, 312), (300, 301, 302), "ahead"),
    ],
)
def test_a_difference_is_one_if_the_notches_do_not_overlap(workload, own, other, expected):
    rows = {"gowsgi": row(workload.by, *own), "granian": row(workload.by, *other)}
    assert report.verdict(workload, rows, "gowsgi", "granian") == expected


def test_what_is_too_close_to_call_is_measured_more_often():
    own, level = row("cpu", 5, 5.5, 6), row("cpu", 5.1, 5.6, 6.1)
    rows = {"gowsgi": own, "fastwsgi": row("cpu", 5.4, 5.5, 5.6), "bjoern": level, "waitress": row("cpu", 9, 9, 9)}
    assert report.undecided(PLAIN, rows, "gowsgi") == ["bjoern", "fastwsgi", "gowsgi"]
    rows["fastwsgi"] = row("cpu", 1, 1, 1)  # the best, and ahead: the others decide nothing
    assert report.undecided(PLAIN, rows, "gowsgi") == []
    assert report.undecided(PLAIN, {"fastwsgi": own, "bjoern": level}, "gowsgi") == []


@pytest.mark.parametrize("own, more", [((5, 6), 4), ((1, 2), 0)])
def test_more_rounds_are_run_of_those_and_of_nobody_else(own, more):
    values = {"gowsgi": own, "fastwsgi": (5.1, 6.1), "waitress": (9, 9)}

    class Counted(run.Bench):
        def round(self, name, workload, answer):
            return {"cpu": values[name][len(self.results["plain"][name]["rounds"]) % 2], "errors": 0}

    bench = Counted(types.SimpleNamespace(servers=list(values), rounds=2))
    bench.run(PLAIN)
    rows = bench.results["plain"]
    assert {name: len(rows[name]["rounds"]) for name in values} == {
        "gowsgi": 2 + more,
        "fastwsgi": 2 + more,
        "waitress": 2,
    }
    assert rows["gowsgi"]["cpu"] == sum(own) / 2  # of all rounds


def test_the_notch_is_that_of_a_box_plot():
    low, high = report.notch([1, 2, 3, 4, 5])
    assert (round(low, 3), round(high, 3)) == (1.596, 4.404)  # 3 ± 1.57 · 2 / √5
    assert report.notch([7]) == [7, 7]


def test_a_budget_is_met_at_its_limit_and_missed_beyond():
    def verdicts(cpu, rate):
        results = {
            "plain": {"gowsgi": row("cpu", cpu), "floor": row("cpu", 4.0)},
            "sleep5ms": {"gowsgi": row("rate", rate)},
        }
        lines = budgets.text({"results": results, "machine": {}}).splitlines()
        return [next(line for line in lines if title in line) for title in ("plain: CPU by the floor", "16 / 5 ms")]

    assert all("| met" in line for line in verdicts(4.6, 3136))
    assert all("**missed**" in line for line in verdicts(4.64, 3135))


def test_sleeping_threads_reach_nearly_what_sleeping_allows():
    done = subprocess.run([sys.executable, HERE / "sleeps.py", "0.3"], capture_output=True, text=True, check=True)
    assert 500 < float(done.stdout) <= 16 / 0.005
