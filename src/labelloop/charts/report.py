"""The pictures of a report, in its order."""

from collections.abc import Iterator

from labelloop.charts import by_class, labels, over_time, plan, reliability, slices
from labelloop.charts.picture import Picture
from labelloop.views.quality import Quality

PICTURES = (
    over_time.by_day,
    over_time.by_round,
    by_class.by_class,
    slices.worst,
    by_class.confusion,
    reliability.reliability,
    plan.of_report,
    labels.training,
    labels.asked,
)


def pictures(q: Quality) -> Iterator[Picture]:
    """Every picture of a report."""
    for draw in PICTURES:
        yield draw(q)
