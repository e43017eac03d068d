"""One look for every figure: size, type, colours. Figures are plain objects, so none piles up in memory."""

from __future__ import annotations

import io
import itertools

WIDTH = 8.0  # inches; with DPI it fixes the pixel width
DPI = 120
UNSEEN = 10  # of 255
LINE = 6  # values that make a line over a rising row as long …
LONG = 24  # … or over their place in the row

# Okabe and Ito's palette: told apart with any colour vision.
COLORS = {
    "blue": "#0072B2",
    "orange": "#D55E00",
    "green": "#009E73",
    "pink": "#CC79A7",
    "sky": "#56B4E9",
    "amber": "#E69F00",
    "grey": "#666666",
    "black": "#000000",
}

STYLE = {
    "font.family": "DejaVu Sans",  # ships with matplotlib, so every machine draws the same letters
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.titlelocation": "left",
    "axes.labelsize": 11,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "legend.fontsize": 11,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.8,
    "lines.linewidth": 2.0,
    "figure.facecolor": "white",
}


def figure(nrows: int = 1, ncols: int = 1, height: float | None = None, **kwargs):
    """(fig, ax) in the course's style, 8 inches wide; `ax` is an array when there is more than one.

    `height` is in inches, 3.6 a row by default. Further keywords go to ``Figure.subplots`` (sharex, width_ratios …).
    """
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.rcParams.update({**STYLE, "axes.prop_cycle": matplotlib.cycler(color=list(COLORS.values()))})
    # Figure, not pyplot.figure: pyplot keeps every figure alive, and a notebook would show it twice.
    fig = Figure(figsize=(WIDTH, height or 3.6 * nrows), dpi=DPI, layout="constrained")
    return fig, fig.subplots(nrows, ncols, **kwargs)


def png(fig, small: bool = True) -> bytes:
    """The figure as PNG. No software version, no date: unchanged data gives unchanged bytes.

    Args:
        small: with a palette of 256 colours, a third of the size, if no channel of a pixel moves by more than UNSEEN.
    """
    from PIL import Image, ImageChops

    buffer = io.BytesIO()
    fig.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    if not small:
        return buffer.getvalue()
    drawn = Image.open(buffer).convert("RGB")
    few = drawn.quantize(256, method=Image.Quantize.MAXCOVERAGE, kmeans=2, dither=Image.Dither.NONE)
    farthest = max(high for _, high in ImageChops.difference(drawn, few.convert("RGB")).getextrema())
    buffer = io.BytesIO()
    (few if farthest <= UNSEEN else drawn).save(buffer, format="png", optimize=True)
    return buffer.getvalue()


def curves(data: dict, axes: dict | None = None) -> dict[str, tuple]:
    """name -> (label of x, x, y) of the lines among a figure's arrays; texts, single numbers and short rows are none.

    The first rising row of whole numbers of a length is x for those after it; an array of two rows has its own x.
    """
    import numpy as np

    axes, found = {} if axes is None else axes, {}
    for name, value in data.items():
        if isinstance(value, dict):
            found |= {f"{name}, {inner}": line for inner, line in curves(value, axes).items()}
            continue
        try:
            row = np.array(value, dtype=float)
        except (TypeError, ValueError):
            continue  # texts
        n = row.shape[-1] if row.ndim else 0
        if n >= LINE and row.ndim == 2 and len(row) == 2:
            found[name] = ("", *row)
        elif n >= LINE and row.ndim == 1 and (np.diff(row) > 0).all() and (row % 1 == 0).all() and n not in axes:
            axes[n] = (name, row)
        elif row.ndim == 1 and n >= (LINE if n in axes else LONG) and (n not in axes or (row != axes[n][1]).any()):
            found[name] = (*axes.get(n, ("place in the row", range(n))), row)
    return found


def both(old: dict, new: dict, drawn: list[bytes]):
    """A figure of two runs in one: a panel with both for each curve of their arrays, else their two PNGs in `drawn`."""
    lines = [curves(old), curves(new)]
    ways = [("reference", COLORS["sky"], 4.0), ("now", COLORS["orange"], 1.2)]
    if names := list({**lines[0], **lines[1]}):
        rows = -(-len(names) // 2)
        fig, axes = figure(rows, min(2, len(names)), 0.4 + 2.4 * rows, squeeze=False)
        for ax, name in itertools.zip_longest(axes.flat, names):
            for (label, color, width), known in zip(ways, lines, strict=True):
                if name in known:
                    x_label, x, y = known[name]
                    ax.plot(x, y, color=color, linewidth=width, label=label)
                    ax.set(title=name, xlabel=x_label)
            ax.set_visible(name is not None)
        axes.flat[0].legend()
        return fig
    import matplotlib.image

    images = [matplotlib.image.imread(io.BytesIO(png)) for png in drawn]
    fig, axes = figure(1, 2)
    fig.set_size_inches(2 * WIDTH, 0.4 + max(WIDTH * image.shape[0] / image.shape[1] for image in images))
    for ax, (title, *_), image in zip(axes, ways, images, strict=True):
        ax.imshow(image)
        ax.set_title(title)
        ax.axis("off")
    return fig
