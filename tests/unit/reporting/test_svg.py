"""Figures as SVG strings."""

import re
import xml.etree.ElementTree as ElementTree

from matplotlib.axes import Axes

from assay.reporting import style
from assay.reporting.forest import axis, mark, scale
from assay.reporting.svg import draw

HOSTILE = "</svg><script>alert(1)</script> 0.123456 #0072b2"


def paint(axes: Axes) -> None:
    axes.plot([1, 2, 3], [0.123456, 4, 2], color=style.look(1).colour, gid="m1")
    axes.set_xlabel(HOSTILE)


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(str(svg).replace("<svg ", '<svg xmlns:xlink="x" ', 1))


def test_the_same_figure_has_the_same_bytes() -> None:
    assert draw("a", "alt", 320, 190, paint) == draw("a", "alt", 320, 190, paint)


def test_ids_of_two_figures_never_collide() -> None:
    ids = [set(re.findall(r' id="([^"]+)"', draw(name, "alt", 320, 190, paint))) for name in ("a", "b")]
    assert ids[0]
    assert not ids[0] & ids[1]


def test_colours_are_variables_of_the_page_and_fonts_are_its_own() -> None:
    svg = draw("a", "alt", 320, 190, paint)
    assert "var(--arm1)" in svg
    assert "DejaVu" not in svg
    tags = "".join(re.findall(r"<[^>]*>", svg))
    assert not re.search(r"#[0-9a-f]{6}\b(?!\))", tags)


def test_text_is_escaped_and_never_rounded_or_recoloured() -> None:
    svg = draw("a", HOSTILE, 320, 190, paint)
    assert "<script" not in svg
    assert HOSTILE in "".join(parsed(svg).itertext())
    assert parsed(svg).get("aria-label") == HOSTILE


def test_lines_of_a_model_can_be_found_by_its_class() -> None:
    assert parsed(draw("a", "alt", 320, 190, paint)).find(".//g[@class='s m1']") is not None


def test_colours_repeat_with_another_dash_so_that_forty_arms_differ() -> None:
    found = style.looks(["base", *(f"arm {n}" for n in range(40))])
    assert found["base"].colour == style.GREY[0]
    assert len({(look.colour, look.dash) for look in found.values()}) == 41
    assert [look.index for look in found.values()] == list(range(41))


def test_a_forest_mark_lies_where_its_figures_say() -> None:
    on = scale([-0.1, 0.3])
    circle = parsed(mark(on, 0.1, -0.1, 0.3, "red", evident=True)).find(".//circle")
    zero, end = on.x(0), on.x(0.3)
    assert circle is not None
    assert zero < float(circle.get("cx", "")) < end
    assert abs((end - zero) - 3 * (float(circle.get("cx", "")) - zero)) < 0.5


def test_a_hollow_dot_is_no_evidence() -> None:
    """F34."""
    assert 'fill="var(--paper)"' in mark(scale([0.1]), 0.1, -0.1, 0.3, "red", evident=False)
    assert 'fill="red"' in mark(scale([0.1]), 0.1, 0.05, 0.3, "red", evident=True)


def test_a_scale_without_a_finite_bound_still_has_zero() -> None:
    assert 0.0 in scale([float("nan")]).ticks
    assert axis(scale([]))
