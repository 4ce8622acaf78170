"""The published models have the sizes that the papers give, and the layouts their devices."""

import pytest

from course_lib.accounting.parameters import total_parameters
from course_lib.chapters.parallel.published import PUBLISHED


@pytest.mark.parametrize(
    ("name", "billions", "share"),
    [
        ("Llama 3 405B, 8,192", 405 * 128 / 126, 0.43),  # two layers more, so that stages are equal
        ("Llama 3 405B, 16,384", 405 * 128 / 126, 0.41),
        ("GPT 48 layers, 512", 39.1, 0.44),
        ("GPT 60 layers, 1,024", 76.1, 0.45),
        ("GPT 80 layers, 1,536", 145.6, 0.47),
    ],
)
def test_the_rows_are_those_of_the_tables(name, billions, share):
    row = next(each for each in PUBLISHED if each.name == name)
    assert total_parameters(row.config) == pytest.approx(billions * 1e9, rel=0.004)
    assert row.share == pytest.approx(share, abs=0.006)
    assert row.layout.devices == row.cluster.devices
