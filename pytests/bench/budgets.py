#!/usr/bin/env python3
"""budgets.py [RESULTS.json]: each budget with what was measured, met or missed. Informative: no test fails by it.

All are ratios within one run, never absolute times. "The best peer" is the one with the least CPU per request (or the
least user time, or the highest rate, as the budget says) that served the workload without an error.
"""

import json
import sys
from pathlib import Path

import report
import workloads

THREADS, SLEEP = 16, 0.005


class Results:
    def __init__(self, document):
        self.results = document["results"]
        self.sleeps = document["machine"].get("sleeps")  # a second, of as many threads that do nothing else

    def rows(self, workload):
        return self.results.get(workload, {})

    def own(self, workload, figure):
        return self.rows(workload).get("gowsgi", {}).get(figure)

    def floor(self, workload, figure):
        return self.by("floor", workload, figure)[0], "the floor"

    def by(self, name, workload, figure):
        return report.ratio(self.rows(workload), "gowsgi", name, figure), name

    def best(self, workload, figure, chosen_by=None):
        rows = self.rows(workload)
        name = report.best_peer(workloads.BY_NAME[workload], rows, chosen_by or figure)
        return report.ratio(rows, "gowsgi", name, figure), name or "no peer"


def quotient(value, base):
    return value / base if value is not None and base else None


BUDGETS = [
    ("plain: CPU by the floor's", 1.15, lambda r: r.floor("plain", "cpu")),
    ("plain: user part by the best peer's", 0.5, lambda r: r.best("plain", "user")),
    ("browser: user part by the best peer's", 0.75, lambda r: r.best("browser", "user")),
    (
        "sleep5ms: rate by 16 / 5 ms, at least",
        -0.98,
        lambda r: (quotient(r.own("sleep5ms", "rate"), THREADS / SLEEP), ""),
    ),
    (
        "sleep5ms: rate by that of threads that only sleep, at least",
        -0.98,
        lambda r: (quotient(r.own("sleep5ms", "rate"), r.sleeps), ""),
    ),
    ("sleep5ms: CPU by that of the peer with the best rate", 1.0, lambda r: r.best("sleep5ms", "cpu", "rate")),
    ("pipeline: CPU by the best peer's", 0.5, lambda r: r.best("pipeline", "cpu")),
    ("upload1m: CPU by the best peer's", 1.0, lambda r: r.best("upload1m", "cpu")),
    ("stream: CPU by the best peer's", 1.0, lambda r: r.best("stream", "cpu")),
    (
        "mix: median by that without the blocking ones",
        2.0,
        lambda r: (quotient(r.own("mix", "p50"), r.own("mixbase", "p50")), ""),
    ),
    ("file1m: CPU by the best peer's", 1.0, lambda r: r.best("file1m", "cpu")),
    ("websocket: CPU by the best peer's", 1.0, lambda r: r.best("websocket", "cpu")),
    ("idle: bytes per connection by 2048", 1.0, lambda r: (quotient(r.own("idle", "memory"), 2048), "")),
    (
        "suspend: rate by that of gevent's Event on gevent.pywsgi, at least",
        -3.0,
        lambda r: (report.ratio(r.rows("suspend"), "gowsgi", "gevent", "rate"), "gevent"),
    ),
    (
        "suspend: rate by meinheld's, at least",
        -1.0,
        lambda r: (report.ratio(r.rows("suspend"), "gowsgi", "meinheld", "rate"), "meinheld"),
    ),
    (
        "middleware: CPU by that of plain",
        1.15,
        lambda r: (quotient(r.own("middleware", "cpu"), r.own("plain", "cpu")), ""),
    ),
    ("worker start with --preload: 5 MB private", 1.0, lambda r: (None, "")),
]


def behind_mongrel2(workload):
    return [
        (
            f"{workload}: CPU by that of m2wsgi's design",
            1 / 3,
            lambda r: r.by("m2wsgi-standin", workload, "cpu"),
        ),
        (f"{workload}: CPU by that of uWSGI's plugin", 1.0, lambda r: r.by("uwsgi-mongrel2", workload, "cpu")),
    ]


MONGREL2 = [budget for workload in workloads.MONGREL2 for budget in behind_mongrel2(workload)]


def text(document):
    results = Results(document)
    lines = ["| budget | limit | measured | |", "|---|---:|---:|---|"]
    for title, limit, measure in MONGREL2 if report.behind_mongrel2(document) else BUDGETS:
        value, against = measure(results)
        if value is None:
            verdict = "not measured"
        else:
            verdict = "met" if (value >= -limit if limit < 0 else value <= limit) else "**missed**"
        if against and value is not None:
            verdict += f" ({against})"
        sign = "≥" if limit < 0 else "≤"
        lines.append(f"| {title} | {sign} {abs(limit):.2f} | {report.shown(value)} | {verdict} |")
    return "\n".join(lines)


def main():
    default = report.RESULTS / "results.json"
    if not default.exists():
        default = report.envs.CACHE / "results" / "results.json"
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    print(text(json.loads(path.read_text(encoding="utf-8"))))


if __name__ == "__main__":
    main()
