"""What the nightly run does where drawing lists by chance does more harm than was stated."""

from __future__ import annotations

from funnel.artifacts import Store
from funnel.artifacts.store import CURRENT
from funnel.config import Config
from funnel.gates import Finding
from funnel.gates.findings import could_not_look
from funnel.off_policy.harm import drawing_of, end_where_shown, harm_of
from funnel.off_policy.replay import Reward
from funnel.serving.exploring import may_explore

#: What the finding is called.
GATE = "harm"


def ended_where_harmful(store: Store, config: Config) -> list[Finding]:
    """A finding where lists of the published bundle are drawn; none where none are, or where it has ended.

    Where harm is shown, drawing ends in every process that serves the store, and the finding fails: so
    somebody looks, and the next night passes. What cannot be told fails, too.
    """
    if not (store.folder / CURRENT).exists():  # nothing was published yet
        return []
    try:
        if not may_explore(store.folder) or (drawing := drawing_of(store)) is None:
            return []
        reward = Reward(window=config.impressions.window_seconds)
        harm = harm_of(store, drawing, reward=reward, state=config.serve.state or None)
        end_where_shown(store.folder, harm)
    except Exception as error:  # a log that cannot be read must let no bundle through
        return [could_not_look(GATE, f"whether drawn lists do harm cannot be told: {error}")]
    ended = "; drawing has ended in every process, `funnel explore --start` lets it go on"
    return [
        Finding(
            gate=GATE,
            passed=not harm.is_shown,
            value=harm.change,
            limit=-harm.allowed,
            sentence=harm.sentence + (ended if harm.is_shown else ""),
        )
    ]
