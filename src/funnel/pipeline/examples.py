"""Three requests of the test window with their recommendations, as examples in the report's page."""

from __future__ import annotations

import numpy as np

from funnel.bundle.contents import Contents
from funnel.bundle.standing_filter import under
from funnel.pages.report import ExampleItem, ExampleUser
from funnel.pipeline.prepare import Prepared
from funnel.serving.reasons import in_words, recommendations
from funnel.serving.response import Recommendation

_HISTORY = 6  # the latest items of a history that are shown


def example_users(contents: Contents, prepared: Prepared) -> list[ExampleUser]:
    """The test requests with the shortest, the middle and the longest history, with their recommendations."""
    test, funnel = under(contents, prepared.split.test), contents.funnel()
    by_length = np.argsort(test.requests.history.lengths, kind="stable")
    chosen = np.unique([0, len(by_length) // 2, len(by_length) - 1])
    examples = []
    for row in by_length[chosen]:
        example = test.take(np.array([row]))
        items = recommendations(contents, example.requests, funnel(example.requests))
        history = contents.catalogue.ids.values[example.requests.history.values[-_HISTORY:]]
        taken = set(contents.catalogue.ids.values[example.targets.values].tolist())
        examples.append(
            ExampleUser(
                user=str(contents.users.ids.values[example.requests.users[0]]),
                history=[contents.catalogue.title(item) for item in history],
                items=[_item(item, contents, hit=item.item_id in taken) for item in items],
            )
        )
    return examples


def _item(item: Recommendation, contents: Contents, *, hit: bool) -> ExampleItem:
    return ExampleItem(
        title=contents.catalogue.title(item.item_id),
        score=item.score,
        sources=[f"{name} #{rank}" for name, rank in item.sources.items()],
        reasons=[in_words(code, contents) for code in item.reasons],
        hit=hit,
    )
