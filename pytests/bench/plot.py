"""plot.py RESULTS.json PLOT.svg: one small bar chart per workload. Needs matplotlib: envs.plotter()."""

import json
import sys

import matplotlib

matplotlib.use("svg")
# The same figures give the same file.
matplotlib.rcParams.update({"svg.hashsalt": "gowsgi", "svg.fonttype": "path", "font.size": 7})

import matplotlib.pyplot as plt  # noqa: E402
import servers  # noqa: E402
import workloads  # noqa: E402

TITLES = {
    "cpu": "µs CPU per request or message (dark: user, light: system)",
    "rate": "requests/s",
    "p50": "ms at the median",
    "memory": "bytes per connection",
    "time": "ms",
}
OWN, OTHER = ("#1f5fa8", "#8fb8e6"), ("#666666", "#bbbbbb")
# Bars longer than this many times the shortest peer's are cut, with their number beside them.
LONGEST = 4


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def panel(axes, workload, rows):
    figure = workload.by
    bars = [(name, row) for name, row in rows.items() if figure in row and "unfit" not in row and name != "floor"]
    bars.sort(key=lambda bar: bar[1][figure], reverse=figure == "rate")
    values = [row[figure] for _, row in bars]
    axes.set_title(f"{workload.name}\n{TITLES[figure]}", fontsize=7, loc="left")
    if not values:
        axes.axis("off")
        return
    limit = (
        max(values) * 1.02 if figure == "rate" else min(max(values), LONGEST * sorted(values)[min(1, len(values) - 1)])
    )
    for place, (name, row) in enumerate(bars):
        dark, light = OWN if servers.BY_NAME[name].peer is False else OTHER
        length = min(row[figure], limit)
        if figure == "cpu":
            user = length * row["user"] / row["cpu"]
            axes.barh(place, user, color=dark, height=0.7)
            axes.barh(place, length - user, left=user, color=light, height=0.7)
        else:
            axes.barh(place, length, color=dark, height=0.7)
        if length == row[figure] and len(row["rounds"]) > 1:
            low, high = row[figure + "_range"]
            axes.plot([low, min(high, limit)], [place, place], color="black", linewidth=0.6)
        cut = " →" if length < row[figure] else ""
        label = number(row[figure]) + cut + (f", {row['errors']} errors" if row["errors"] else "")
        axes.text(limit * 1.03, place, label, va="center", fontsize=6)
    floor = rows.get("floor", {}).get(figure)
    if floor and floor < limit:
        axes.axvline(floor, color="#b04020", linewidth=0.8, linestyle="--")
        axes.text(floor, len(bars) - 0.35, f"floor {number(floor)}", color="#b04020", fontsize=6, va="top")
    axes.set_yticks(range(len(bars)), [name for name, _ in bars])
    for label, (name, _) in zip(axes.get_yticklabels(), bars):
        label.set_fontweight("bold" if name.startswith("gowsgi") else "normal")
    axes.set_ylim(len(bars) - 0.3, -0.6)
    axes.set_xlim(0, limit * 1.3)
    axes.set_xticks([])
    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        document = json.load(file)
    results = document["results"]
    columns = min(3, len(results))
    lines = -(-len(results) // columns)
    figure, grid = plt.subplots(lines, columns, figsize=(3.4 * columns, 2.3 * lines + 0.3), squeeze=False)
    for place, axes in enumerate(grid.flat):
        if place >= len(results):
            axes.axis("off")
            continue
        name = list(results)[place]
        panel(axes, workloads.BY_NAME[name], results[name])
    figure.suptitle(f"gowsgi {document['gowsgi']} and its peers, {document['date']}", fontsize=9)
    figure.tight_layout()
    figure.savefig(sys.argv[2], metadata={"Date": None, "Creator": None})


if __name__ == "__main__":
    main()
