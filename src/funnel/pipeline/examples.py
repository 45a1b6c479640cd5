"""Three requests of the test window, answered: what a reader of the report can judge by eye."""

from __future__ import annotations

import numpy as np

from funnel.bundle.contents import Contents
from funnel.pages.report import ExampleItem, ExampleUser
from funnel.pipeline.prepare import Prepared
from funnel.serving.reasons import in_words, recommendations
from funnel.serving.response import Recommendation

_MET = 6  # of a history, the latest so many are told


def example_users(contents: Contents, prepared: Prepared) -> list[ExampleUser]:
    """The test requests with the shortest, the middle and the longest history, with what they were given."""
    test, funnel = prepared.split.test, contents.funnel()
    by_length = np.argsort(test.requests.history.lengths, kind="stable")
    chosen = np.unique([0, len(by_length) // 2, len(by_length) - 1])
    made = []
    for row in by_length[chosen]:
        one = test.take(np.array([row]))
        items = recommendations(contents, one.requests, funnel(one.requests))
        met = contents.catalogue.ids.values[one.requests.history.values[-_MET:]]
        taken = set(contents.catalogue.ids.values[one.targets.values].tolist())
        made.append(
            ExampleUser(
                user=str(contents.users.ids.values[one.requests.users[0]]),
                history=[contents.catalogue.title(item) for item in met],
                items=[_item(item, contents, hit=item.item_id in taken) for item in items],
            )
        )
    return made


def _item(item: Recommendation, contents: Contents, *, hit: bool) -> ExampleItem:
    return ExampleItem(
        title=contents.catalogue.title(item.item_id),
        score=item.score,
        sources=[f"{name} #{rank}" for name, rank in item.sources.items()],
        reasons=[in_words(code, contents) for code in item.reasons],
        hit=hit,
    )
