"""The policy that a config asks for."""

from __future__ import annotations

from funnel.errors import ConfigError
from funnel.policies import Drawing, ExploreConfig
from funnel.policies.config import NO_EPSILON


def drawing_of(config: ExploreConfig) -> Drawing | None:
    """By what lists are drawn; None where they are not. Raises: ConfigError where that is chosen when a
    bundle is built, and not known before."""
    if not config.is_on:
        return None
    if not config.temperature and not config.epsilon:
        raise ConfigError(
            "explore.max_loss chooses temperature and epsilon for a bundle when it is built: give both here, "
            "or judge a bundle with --bundle"
        )
    return Drawing(
        temperature=config.temperature or 0.0, epsilon=config.epsilon or NO_EPSILON, top=config.top
    )
