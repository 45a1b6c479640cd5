"""A report as a DataFrame."""

from __future__ import annotations

import re

from tests.tiny import TinyBuild


def test_every_figure_of_a_row_is_in_its_place(built: TinyBuild) -> None:
    report = built.built.report
    frame = report.to_frame()
    assert list(frame.index) == [row.name for row in report.rows]
    for row in report.rows:
        assert frame.loc[row.name, "kind"] == row.kind
        for name, value in row.metrics.items():
            found = [frame.loc[row.name, f"{name}{end}"] for end in ("", " lo", " hi")]
            assert found == [value.mean, value.lo, value.hi]
        assert row.latency is None or frame.loc[row.name, "p50 ms"] == row.latency.p50


def test_a_notebook_shows_a_line_for_each_row(built: TinyBuild) -> None:
    report = built.built.report
    html = report._repr_html_()
    lines = re.findall(r"<tr>\s*<th>([^<]+)</th>", html)
    assert lines[-len(report.rows) :] == [row.name for row in report.rows]
    assert " lo" not in html
