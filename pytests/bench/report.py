"""What the figures of a run become: medians with their spread, tables, JSON, a plot."""

import json
import math
import statistics
import sys
from pathlib import Path

import envs
import servers
import workloads

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
FIGURES = ["rate", "cpu", "user", "system", "p50", "p99", "busy", "pss", "memory", "time", "threads"]


# Times as many rounds again for those that the first ones leave level.
AGAIN = 2

# Where what is published goes, by the directory of the results.
MONGREL2 = RESULTS / "mongrel2"
PAGES = {RESULTS: envs.ROOT / "README.md", MONGREL2: envs.ROOT / "docs" / "mongrel2.md"}

BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"


def summary(rounds):
    """Per figure the median of the rounds and, as `figure_range`, their least and greatest."""
    found = {}
    for figure in FIGURES:
        values = [r[figure] for r in rounds if figure in r]
        if values:
            found[figure] = statistics.median(values)
            found[figure + "_range"] = [min(values), max(values)]
    if rounds:
        found["errors"] = sum(r["errors"] for r in rounds)
        found["requests"] = sum(r.get("requests", 0) for r in rounds)
    return found


def notch(values):
    """Between which values the median lies, so that two medians differ where these do not overlap.

    The notch of a box plot, 1.57 times the interquartile range by the root of the number (McGill, Tukey and Larsen:
    Variations of Box Plots, 1978).
    """
    middle = statistics.median(values)
    if len(values) < 2:
        return [middle, middle]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    half = 1.57 * (high - low) / math.sqrt(len(values))
    return [middle - half, middle + half]


def brief(workload, rows, names):
    """One line of the last round, while it goes on."""
    last = [(name, rows[name]["rounds"][-1][workload.by]) for name in names]
    return f"{workload.by} " + ", ".join(f"{name} {short(value)}" for name, value in last)


def short(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def measures(workload, rows, figure):
    """The names of the peers that this figure can be compared with.

    Peers that erred or could not run the workload are no measure, nor are those that leave out part of it: close() of
    the responses, in which frameworks end a request. A latency leaves out how long making a connection takes, as wrk
    measures it: who wants one for each request is no measure of that. Where the application blocks, a server that
    patches time.sleep away does something else, and one with a single thread is only there to be seen.
    """
    found = []
    for name, row in rows.items():
        server = servers.BY_NAME[name]
        if not server.peer or "unfit" in row or row.get("errors") or row.get("unclosed") or figure not in row:
            continue
        if workload.threads > 1 and (server.green or not server.threaded):
            continue
        if figure == "p50" and not server.keeps_alive:
            continue
        found.append(name)
    return found


def best_peer(workload, rows, figure=None):
    """The name of the peer to compare with, or None."""
    figure = figure or workload.by
    found = [(rows[name][figure], name) for name in measures(workload, rows, figure)]
    if not found:
        return None
    return (max(found) if figure == "rate" else min(found))[1]


def ratio(rows, name, base, figure):
    """The median over the rounds of name's figure by base's in the same round, so that what slowed a whole round down
    cancels out; None where there is nothing to compare."""
    if name not in rows or base not in rows:
        return None
    pairs = zip(rows[name]["rounds"], rows[base]["rounds"])
    found = [one[figure] / other[figure] for one, other in pairs if figure in one and other.get(figure)]
    return statistics.median(found) if found else None


def verdict(workload, rows, name, base):
    """Whether name is "ahead" of base, "behind" it, or "level": their medians do not differ."""
    figure = workload.by
    if figure not in rows.get(name, {}) or figure not in rows.get(base, {}):
        return ""
    (low, high), (base_low, base_high) = (notch([r[figure] for r in rows[n]["rounds"]]) for n in (name, base))
    if low <= base_high and base_low <= high:
        return "level"
    return "ahead" if (low > base_high) == (figure == "rate") else "behind"


def undecided(workload, rows, name):
    """Whom to measure more often: name and the peers level with it, if the best peer is one of them, else nobody."""
    level = [peer for peer in measures(workload, rows, workload.by) if verdict(workload, rows, name, peer) == "level"]
    return sorted([name, *level]) if best_peer(workload, rows) in level else []


def shown(value):
    return "–" if value is None else f"{value:.2f}"


def spread(row, figure, scale=1):
    low, high = row[figure + "_range"]
    if low == high:
        return short(row[figure] * scale)
    return f"{short(row[figure] * scale)} ({short(low * scale)}–{short(high * scale)})"


def table(workload, rows):
    """The Markdown table of one workload, the best first."""
    figure, best = workload.by, best_peer(workload, rows)
    load = workload.kind in ("wrk", "ab", "websocket")
    if load:
        columns = ["requests/s", "CPU µs", "user µs", "system µs", "p50 ms", "p99 ms", "errors", "PSS MB"]
        if workload.kind == "websocket":
            columns[0] = "messages/s"
    else:
        what = {"idle": "bytes per connection", "startup": "ms"}[workload.kind]
        columns = [what, "errors", "PSS MB", "threads"]
    columns += ["÷ floor", "÷ best peer"]
    lines = ["| server | " + " | ".join(columns) + " |", "|---" + "|---:" * len(columns) + "|"]

    def key(item):
        row = item[1]
        if "unfit" in row or figure not in row:
            return (1, 0)
        return (0, -row[figure] if figure == "rate" else row[figure])

    notes = []
    for name, row in sorted(rows.items(), key=key):
        label = f"**{name}**" if name.startswith("gowsgi") else name
        if workload.threads > 1 and servers.BY_NAME[name].green:
            label += " ¹"
            notes.append("¹ blocks greenlets only, any number of them: `time.sleep` is patched.")
        elif workload.threads > 1 and not servers.BY_NAME[name].threaded:
            label += " ²"
            notes.append("² has one thread for the application.")
        if figure == "p50" and not servers.BY_NAME[name].keeps_alive:
            label += " ⁴"
            notes.append("⁴ a connection per request, whose making wrk leaves out of the latency.")
        if row.get("unclosed"):
            label += " ³"
            notes.append("³ does not call `close()` of responses (PEP 3333): the framework's work in it is left out.")
        if "unfit" in row or figure not in row:
            lines.append(f"| {label} | {clean(row.get('unfit', 'not measured'))} |" + " |" * (len(columns) - 1))
            continue
        ratios = [shown(ratio(rows, name, base, figure)) for base in ("floor", best)]
        if load:
            cells = [spread(row, "rate"), spread(row, "cpu"), spread(row, "user"), short(row["system"])]
            cells += [short(row["p50"]), short(row["p99"]), str(row["errors"]), short(row["pss"] / 1e6)]
        else:
            cells = [spread(row, figure), str(row["errors"]), short(row["pss"] / 1e6), str(int(row["threads"]))]
        lines.append("| " + " | ".join([label, *cells, *ratios]) + " |")
    return "\n".join(lines) + "\n" + "".join(f"\n{note}\n" for note in sorted(set(notes)))


def clean(text):
    return text.replace("|", "/").replace("\n", " ").replace("*", "").strip()


def tables(document):
    parts = []
    for name, rows in document["results"].items():
        workload = workloads.BY_NAME[name]
        parts.append(f"### {name}: {workload.title}\n\n{table(workload, rows)}")
        sleeps = document["machine"].get("sleeps")
        if name == "sleep5ms" and sleeps:
            parts.append(f"16 threads of Python that only sleep reach {sleeps:.0f} a second on the same core.\n")
    return "\n".join(parts)


def head(document):
    """Where the figures come from, in one paragraph."""
    machine = document["machine"]
    versions = []
    for name, packages in document["versions"].items():
        if servers.BY_NAME[name].packages and not name.startswith("gowsgi"):  # whose first package is greenlet
            package = envs.name_of(servers.BY_NAME[name].packages[0])
            own = name.startswith(package.lower())
            versions.append(f"{name} {packages[package]}" if own else f"{name} on {package} {packages[package]}")
    versions.insert(0, f"gowsgi {document['gowsgi']}")
    python = next((p["Python"] for n, p in document["versions"].items() if n.startswith("gowsgi")), "")
    used = "; ".join(version for tool, version in document["tools"].items() if tool != "ab")
    seconds, rounds = document["options"]["seconds"], document["options"]["rounds"]
    return (
        f"`{document['command']}`, {document['date']}: {', '.join(versions)}; Python "
        f"{python}; {used}; {machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}. Medians of "
        f"{rounds} interleaved rounds of {seconds} s, each by a fresh process, the least and the greatest in "
        f"parentheses; {rounds * AGAIN} rounds more of gowsgi and the peers level with it where the best is one of "
        f"them. The machine was shared: its load average was {machine['load']} before and "
        f"{machine.get('load_after', '?')} after, so look at CPU per request rather than at requests per second. CPU, "
        "user and system are microseconds per request, or message of a WebSocket, of all the server's processes; "
        "ratios are medians of the rounds' own.\n"
    )


UNITS = {"cpu": "µs CPU", "rate": "requests/s", "p50": "ms at the median", "memory": "bytes", "time": "ms"}


def behind_mongrel2(document):
    """Whether it is about servers behind Mongrel2, which are compared among themselves and published apart."""
    results = document["results"]
    return bool(results) and all(workloads.BY_NAME[name].mongrel2 for name in results)


def handlers(document):
    """One line per handler behind Mongrel2, one column per workload: CPU, and in parentheses by gowsgi's."""
    results = document["results"]
    names = dict.fromkeys(name for rows in results.values() for name in rows)
    lines = [
        "| handler | " + " | ".join(workloads.BY_NAME[name].title.rpartition("; ")[2] for name in results) + " |",
        "|---" + "|---:" * len(results) + "|",
    ]
    for name in names:
        cells = []
        for rows in results.values():
            row = rows.get(name, {})
            cell = short(row["cpu"]) if "cpu" in row else clean(row.get("unfit", "–"))
            if name != "gowsgi" and "cpu" in row:
                cell += f" ({shown(ratio(rows, name, 'gowsgi', 'cpu'))})"
            cells.append(cell)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def overview(document):
    """One line per workload: gowsgi, the best peer, the floor."""
    lines = [
        "| workload | | gowsgi | best peer | | floor | gowsgi ÷ best peer | |",
        "|---|---|---:|---:|---|---:|---:|---|",
    ]
    for name, rows in document["results"].items():
        workload = workloads.BY_NAME[name]
        figure, best, own = workload.by, best_peer(workload, rows), rows.get("gowsgi", {})
        lines.append(
            "| {} | {} | {} | {} | {} | {} | {} | {} |".format(
                f"`{name}`: {workload.title}",
                UNITS[figure],
                short(own[figure]) if figure in own else clean(own.get("unfit", "–")),
                short(rows[best][figure]) if best else "–",
                best or "",
                short(rows["floor"][figure]) if figure in rows.get("floor", {}) else "–",
                shown(ratio(rows, "gowsgi", best, figure)),
                verdict(workload, rows, "gowsgi", best),
            )
        )
    return "\n".join(lines) + "\n"


def section(document):
    """What stands between the markers of the page that the figures are published on."""
    behind = behind_mongrel2(document)
    command = "make bench-mongrel2" if behind else "make bench"
    body = mongrel2_body(document) if behind else readme_body(document)
    begin = f"{BEGIN}\n<!-- Written by `{command} BENCH=--publish`; do not edit by hand. -->\n\n"
    return begin + body + "\n" + head(document) + END


def mongrel2_body(document):
    return (
        "CPU per request in microseconds, of the handler's processes only; in parentheses how many times gowsgi's "
        "that is, the median of the rounds' own. Each handler is alone on a core, behind a Mongrel2 of its own, which "
        "shares the other one with the clients; all answer the same small request. m2wsgi itself is Python 2's and "
        "dead: m2wsgi-standin does step by step what it did, in Python 3 with pyzmq "
        "([m2wsgi\\_standin.py](../pytests/bench/m2wsgi_standin.py) says what is left out), and "
        "m2wsgi-standin-gathered sends head and body in one message, which m2wsgi did not. uwsgi-mongrel2 closes the "
        "connection after each answer. Settings are those of [servers.py](../pytests/bench/servers.py); the spread of "
        "the rounds, rates and latencies are in "
        "[table.md](../pytests/bench/results/mongrel2/table.md).\n\n" + handlers(document)
    )


def readme_body(document):
    return (
        "![CPU per request and other figures, by server](pytests/bench/results/plot.svg)\n\n"
        "Less is better, except for requests/s. One core for the server, one for the client, one worker process each, "
        "the settings of [servers.py](pytests/bench/servers.py). The floor is a C program that answers the same bytes "
        "without looking at the request. All servers, CPU split into user and system, latencies, errors and memory: "
        "[table.md](pytests/bench/results/table.md). Level: the medians differ no more than the spread of the rounds "
        "explains (the notches of their box plots overlap).\n\n" + overview(document)
    )


def write(document, options):
    folder = options.output
    if options.publish:
        folder = MONGREL2 if behind_mongrel2(document) else RESULTS
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    render(folder, options.publish, not options.no_plot)


def render(folder, publish, plot):
    """Everything that follows from results.json."""
    document = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    text = head(document) + "\n" + tables(document)
    (folder / "table.md").write_text(text, encoding="utf-8")
    if plot:
        try:
            envs.pyenvs.run([envs.plotter(), HERE / "plot.py", folder / "results.json", folder / "plot.svg"])
        except envs.FAILURES as failure:
            print(f"no plot: {failure}", file=sys.stderr)
    if publish:
        path = PAGES[folder]
        before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
        _, found, after = rest.partition(END)
        if not found:
            sys.exit(f"{path} has no {BEGIN} and {END}")
        path.write_text(before + section(document) + after, encoding="utf-8")
    print(text)


def command_line(options, parser):
    given = []
    for name in ("only", "servers", "seconds", "rounds", "cores"):
        value, default = getattr(options, name), parser.get_default(name)
        if name == "cores":
            value = ",".join(map(str, value))
        if value != default:
            given.append(f"--{name} " + (",".join(value) if isinstance(value, list) else str(value)))
    command = "make bench"
    if options.only == workloads.MONGREL2:
        command = "make bench-mongrel2"
        given = [option for option in given if not option.startswith("--only ")]
    return '{} BENCH="{}"'.format(command, " ".join(given)) if given else command


if __name__ == "__main__":
    # report.py [FOLDER]: renders results.json again; of what is published its page, too.
    chosen = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else RESULTS
    render(chosen, chosen in PAGES, True)
