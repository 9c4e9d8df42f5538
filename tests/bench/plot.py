#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""plot.py JSON DIR: what `compare` measured, as DIR/copies-to.svg, copies-from.svg, launch.svg."""
import html
import json
import math
import os
import sys

WIDTH, HEIGHT = 760, 440
LEFT, RIGHT, TOP, BOTTOM = 70, 190, 50, 60
COLORS = {"native": "#6b7280", "vgpu": "#0f766e"}
DASHES = {"pinned": "", "ordinary": "6 4"}


class Axis:
    """A range of values along some length, logarithmic or not."""

    def __init__(self, low, high, start, end, log):
        self.log = log
        self.low, self.high = self.scale(low), self.scale(high)
        self.start, self.end = start, end

    def scale(self, value):
        return math.log10(value) if self.log else value

    def at(self, value):
        share = (self.scale(value) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


def text(x, y, what, anchor="middle", extra=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {extra}>{html.escape(what)}</text>'


def line(x1, y1, x2, y2):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#d1d5db"/>'


def curve(points, color, dash):
    where = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return (f'<polyline points="{where}" fill="none" stroke="{color}" stroke-width="2" '
            f'stroke-dasharray="{dash}"/>')


def frame(title, subtitle, x, x_ticks, x_name, y, y_ticks, y_name):
    """Title, axes with their (value, label) ticks."""
    out = [text(LEFT, 22, title, "start", 'font-size="15" font-weight="bold"'),
           text(LEFT, 40, subtitle, "start", 'fill="#6b7280"')]
    for value, label in x_ticks:
        out.append(line(x.at(value), TOP, x.at(value), HEIGHT - BOTTOM))
        out.append(text(x.at(value), HEIGHT - BOTTOM + 18, label))
    for value, label in y_ticks:
        out.append(line(LEFT, y.at(value), WIDTH - RIGHT, y.at(value)))
        out.append(text(LEFT - 8, y.at(value) + 4, label, "end"))
    out.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 16, x_name))
    out.append(text(18, HEIGHT / 2, y_name, extra=f'transform="rotate(-90 18 {HEIGHT / 2})"'))
    return out


def legend(entries):
    out = []
    for i, (name, color, dash) in enumerate(entries):
        y = TOP + 12 + i * 22
        out.append(curve([(WIDTH - RIGHT + 14, y), (WIDTH - RIGHT + 44, y)], color, dash))
        out.append(text(WIDTH - RIGHT + 50, y + 4, name, "start"))
    return out


def write_svg(path, parts):
    with open(path, "w", encoding="utf-8") as f:
        f.write(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
                'font-family="sans-serif" font-size="12">\n')
        f.write(f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>\n')
        f.write("\n".join(parts) + "\n</svg>\n")


def size_label(size):
    return f"{size >> 20} MiB" if size >= 1 << 20 else f"{size >> 10} KiB"


def linear_ticks(high):
    step = 10 ** math.floor(math.log10(high))
    step = next(s for s in (step / 5, step / 2, step) if high / s <= 10)
    return [(step * i, f"{step * i:g}") for i in range(math.ceil(high / step) + 1)]


def plot_copies(report, way, path):
    rows = [r for r in report["rows"]
            if r["bytes"] and not r["failed"] and f" {way} the device" in r["name"]]
    sizes = sorted({int(r["bytes"]) for r in rows})
    if len(sizes) < 2:
        return
    sides = {"native": report["native"], "vgpu": "vgpu"}
    y_ticks = linear_ticks(max(r[side]["value"] for r in rows for side in sides))
    x = Axis(sizes[0], sizes[-1], LEFT, WIDTH - RIGHT, True)
    y = Axis(0, y_ticks[-1][0], HEIGHT - BOTTOM, TOP, False)
    parts = frame(f"Copies {way} the device", report["device"], x,
                  [(s, size_label(s)) for s in sizes[::2]], "size", y, y_ticks, "GB/s")
    entries = []
    for memory, dash in DASHES.items():
        for side, color in COLORS.items():
            points = sorted((int(r["bytes"]), r[side]["value"]) for r in rows
                            if r["name"].endswith(memory))
            parts.append(curve([(x.at(s), y.at(v)) for s, v in points], color, dash))
            entries.append((f"{sides[side]}, {memory}", color, dash))
    write_svg(path, parts + legend(entries))


def plot_launch(report, path):
    row = next((r for r in report["rows"] if r["name"].startswith("launch, as")), None)
    if not row or not all(row[side]["quantiles"] for side in COLORS):
        return
    values = [v for side in COLORS for v in row[side]["quantiles"][:-1]]
    low = 10 ** math.floor(math.log10(min(values)))
    high = 10 ** math.ceil(math.log10(max(values)))
    decades = range(round(math.log10(low)), round(math.log10(high)) + 1)
    x = Axis(low, high, LEFT, WIDTH - RIGHT, True)
    y = Axis(0, 1, HEIGHT - BOTTOM, TOP, False)
    parts = frame("One launch, as its caller feels it", report["device"], x,
                  [(10.0 ** d, f"{10.0 ** d:g} us") for d in decades], "time of the call", y,
                  [(i / 4, f"{i * 25} %") for i in range(5)], "share of launches up to it")
    for side, color in COLORS.items():
        quantiles = row[side]["quantiles"]
        points = [(x.at(v), y.at(i / (len(quantiles) - 1)))
                  for i, v in enumerate(quantiles[:-1])]
        parts.append(curve(points, color, ""))
    write_svg(path, parts + legend([(report["native"], COLORS["native"], ""),
                                    ("vgpu", COLORS["vgpu"], "")]))


def main():
    if len(sys.argv) != 3:
        sys.exit("Usage: plot.py JSON DIR")
    with open(sys.argv[1], encoding="utf-8") as f:
        report = json.load(f)
    for way in ("to", "from"):
        plot_copies(report, way, os.path.join(sys.argv[2], f"copies-{way}.svg"))
    plot_launch(report, os.path.join(sys.argv[2], "launch.svg"))


if __name__ == "__main__":
    main()
