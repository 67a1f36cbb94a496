"""Curves in a terminal, drawn with braille characters: two dots wide and four high to a character."""

from collections.abc import Sequence

# Bit of the dot in column 0 or 1, row 0 to 3, of U+2800 and following.
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))


def chart(
    y: Sequence[float | None], *, width: int, height: int, low: float, high: float, left: float, right: float
) -> list[str]:
    """Lines of `height` rows with the curve of `y`, evenly spaced from `left` to `right`, and its axes; None is a gap.

    Every value is drawn where low <= y <= high, and joined to its neighbour by a vertical stroke.
    """
    cells = [[0] * width for _ in range(height)]
    across, down = 2 * width, 4 * height

    def row_of(value: float) -> int:
        return round((high - value) / (high - low) * (down - 1))

    def dot(column: int, row: int) -> None:
        if 0 <= column < across and 0 <= row < down:
            cells[row // 4][column // 2] |= _DOTS[column % 2][row % 4]

    before: int | None = None
    for column in range(across):
        value = y[round(column / (across - 1) * (len(y) - 1))]
        if value is None or not low - (high - low) <= value <= high + (high - low):
            before = None
            continue
        row = row_of(value)
        for between in range(
            min(row, row if before is None else before), max(row, row if before is None else before) + 1
        ):
            dot(column, between)
        before = row
    return _with_axes(cells, low=low, high=high, left=left, right=right)


def _with_axes(cells: list[list[int]], *, low: float, high: float, left: float, right: float) -> list[str]:
    """The cells as text, with thin lines through the origin where nothing is drawn, and the numbers at the ends."""
    height, width = len(cells), len(cells[0])
    zero_row = round(high / (high - low) * (4 * height - 1)) // 4 if low <= 0 <= high else -1
    zero_column = round(-left / (right - left) * (2 * width - 1)) // 2 if left <= 0 <= right else -1
    margin = max(len(f"{low:.3g}"), len(f"{high:.3g}"))
    lines = []
    for number, row in enumerate(cells):
        label = (
            f"{high:.3g}"
            if number == 0
            else f"{low:.3g}"
            if number == height - 1
            else "0"
            if number == zero_row
            else ""
        )
        text = ""
        for column, cell in enumerate(row):
            axis = (
                "┼"
                if number == zero_row and column == zero_column
                else "─"
                if number == zero_row
                else "│"
                if column == zero_column
                else " "
            )
            text += chr(0x2800 + cell) if cell else axis
        lines.append(f"{label:>{margin}} {text}")
    ends = f"{left:g}".ljust(width - len(f"{right:g}")) + f"{right:g}"
    return [*lines, " " * (margin + 1) + ends]
