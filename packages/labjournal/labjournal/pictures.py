"""One look for every figure: size, type, colours. Figures are plain objects, so none piles up in memory."""

from __future__ import annotations

import io

WIDTH = 8.0  # inches; with DPI it fixes the pixel width
DPI = 120
UNSEEN = 10  # of 255

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
