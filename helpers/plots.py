"""One look for every figure: size, type, colours. Figures are plain objects, so none piles up in memory."""

from __future__ import annotations

from labjournal.pictures import COLORS, DPI, figure, png

__all__ = ["COLORS", "figure", "flow", "histograms", "label_line", "label_lines", "picture", "png"]


def label_line(ax, x, y, text: str, color: str | None = None, dy: float = 0.0) -> None:
    """Write `text` at the right end of the line through `x`, `y` (arrays), in the line's colour; `dy` in points."""
    ax.annotate(
        text,
        (x[-1], y[-1]),
        xytext=(6, dy),
        textcoords="offset points",
        color=color,
        va="center",
        ha="left",
        annotation_clip=False,
    )


def picture(ax, image, title: str = "", **settings) -> None:
    """Show an (H, W, 3) colour or (H, W) grey picture with values in 0..1, without axes; `settings` go to imshow."""
    if image.ndim == 2:
        settings = {"cmap": "gray_r", "vmin": 0, "vmax": 1, **settings}
    ax.imshow(image, interpolation="nearest", **settings)
    ax.set_title(title)
    ax.axis("off")


def histograms(ax, groups: dict[str, list], bounds, log: bool = False, bins: int = 24) -> None:
    """Outlined histograms of several groups over common bins, each summing to 1, with a dashed line at every bound.

    Colours go by the order of `groups`; an empty group keeps its colour. `log` is for counts that span decades; what is
    below 1 is drawn at 1. Else, where the bound would vanish at the left edge, what is beyond four times the bound is
    drawn at the right one.
    """
    import numpy as np

    bounds = [bound for bound in bounds if np.isfinite(bound)]
    drawn = {name: np.asarray(values, float) for name, values in groups.items()}
    if not any(map(len, drawn.values())):
        return
    everything = np.concatenate([*drawn.values(), np.asarray(bounds, float)])
    if log:
        drawn = {name: np.maximum(values, 1) for name, values in drawn.items()}
        edges = np.geomspace(max(1, everything.min()), max(10, everything.max()), bins + 1)
        ax.set_xscale("log")
        ax.xaxis.set_minor_formatter("")
    else:
        if len(bounds) and 0 < max(bounds) < everything.max() / 20:
            drawn = {name: np.minimum(values, 4 * max(bounds)) for name, values in drawn.items()}
            everything = np.minimum(everything, 4 * max(bounds))
        low, high = everything.min(), everything.max()
        edges = np.linspace(low, high if high > low else low + 1, bins + 1)
    for (name, values), color in zip(drawn.items(), ("blue", "orange", "green", "pink"), strict=False):
        if len(values):
            weights = np.full(len(values), 1 / len(values))
            ax.hist(values, edges, weights=weights, histtype="step", color=COLORS[color], label=name, linewidth=1.4)
    for bound in bounds:
        ax.axvline(bound, color=COLORS["black"], linestyle="--", linewidth=1.2)


def label_lines(ax, x, lines: dict[str, list], colors: dict[str, str], gap: float = 14.0) -> None:
    """`label_line` for several lines over the same `x`, at least `gap` points apart. Call it when all else is drawn."""
    ax.figure.draw_without_rendering()  # settles limits and layout, so that distances in points are known
    points = {name: 72 / DPI * ax.transData.transform((x[-1], y[-1]))[1] for name, y in lines.items()}
    order = sorted(points, key=points.get)
    placed = [points[name] for name in order]
    for _ in range(100):  # push neighbours apart, half each
        for i in range(1, len(placed)):
            missing = gap - (placed[i] - placed[i - 1])
            if missing > 0:
                placed[i - 1], placed[i] = placed[i - 1] - missing / 2, placed[i] + missing / 2
    for name, place in zip(order, placed, strict=True):
        label_line(ax, x, lines[name], name, COLORS[colors[name]], dy=place - points[name])


def flow(ax, boxes: list[tuple[str, str]], around=(), highlight=(), rows: int | None = None) -> None:
    """Boxes from top to bottom, joined by arrows: (name, what comes out) each.

    Args:
        around: pairs (above, into) of places in `boxes`: a line that leaves above the one, passes what stands between,
            and ends at the other.
        highlight: names of boxes to fill.
        rows: room for so many boxes, so that two flows side by side have boxes of the same size.
    """
    from matplotlib.patches import Rectangle

    line = {"arrowstyle": "-|>", "color": COLORS["grey"], "linewidth": 1.4, "shrinkA": 0, "shrinkB": 0}
    for row, (name, out) in enumerate(boxes):
        face = "#d9ecf8" if name in highlight else "white"
        ax.add_patch(Rectangle((0.1, row - 0.32), 0.88, 0.64, facecolor=face, edgecolor=COLORS["blue"], linewidth=1.4))
        ax.text(0.13, row, name, va="center")
        ax.text(0.95, row, out, va="center", ha="right", family="DejaVu Sans Mono", fontsize=10)
        if row:
            ax.annotate("", (0.54, row - 0.32), (0.54, row - 0.68), arrowprops=line)
    for above, into in around:
        ax.plot([0.54, 0.03, 0.03], [above - 0.5, above - 0.5, into], color=COLORS["orange"], linewidth=1.8)
        ax.annotate("", (0.1, into), (0.03, into), arrowprops={**line, "color": COLORS["orange"], "linewidth": 1.8})
    ax.set(xlim=(0, 1), ylim=((rows or len(boxes)) - 0.5, -0.6))
    ax.axis("off")
