"""The one style of all plots: colours, figures, axes."""

INK, FAINT, GRID, GREY = "#30343b", "#b8bcc4", "#e6e8ec", "#8d929b"
COLOURS = ("#1f5fa8", "#d1495b", "#2e8b57", "#8a5fb0", "#c77f1a", "#4a9ba8", "#7a6a53", "#b0578d")
BLUE, RED, _, _, AMBER, *_ = COLOURS


def plain_axes(axes, grid: str = "both", left: bool = True) -> None:
    """A faint grid behind the data, no frame but the axes; grid: both, x or y."""
    axes.grid(axis=grid, color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines["left"].set_visible(left)
    axes.spines[["bottom", "left"]].set_color(FAINT)
