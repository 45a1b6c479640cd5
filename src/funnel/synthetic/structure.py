"""The latent structure of the made-up world of ads: who likes what, and what is good.

An ad's vector is its category's, plus its advertiser's, plus a small part of its own. A user's vector is a
mix of three category vectors, which segment and country make more or less likely, plus a small part of its
own. So what a user likes can be learned from clicks, from attributes, and, for a new user, from the segment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.types import Float32, Int32, Int64

CATEGORIES = 24
SEGMENTS = 8
COUNTRIES = ("AT", "BR", "DE", "FR", "IN", "JP", "PL", "US")
INTERESTS = 3
DAY = 86_400

_ADS_A_CAMPAIGN = 50
_CAMPAIGNS_AN_ADVERTISER = 8
_ADVERTISER_PART, _OWN_PART, _USER_OWN_PART = 0.6, 0.35, 0.25
_TASTE = 5.0  # length of a user's vector: how far a liked ad's logit is above that of any other
_BASE = -4.0  # logit of an ad of average quality that means nothing to the user


@dataclass(frozen=True)
class Structure:
    """What is drawn once: vectors of categories and advertisers, the campaigns, and who cares for what.

    categories: float32 [C, d]. advertisers: float32 [A, d]. Campaign columns are [K]: category and advertiser
    rows, start in seconds, log price, quality (logit), volume (share of the ads and of the budget).
    segments [S, C] and countries [N, C]: log interest in each category.
    """

    categories: Float32
    advertisers: Float32
    category: Int32
    advertiser: Int32
    start: Int64
    price: Float32
    quality: Float32
    volume: NDArray[np.float64]
    segments: NDArray[np.float64]
    countries: NDArray[np.float64]


def draw_structure(rng: np.random.Generator, items: int, dim: int, days: int, late: float) -> Structure:
    """late: the share of campaigns that start after the world does; the first of a category is never late."""
    campaigns = min(items, max(CATEGORIES, items // _ADS_A_CAMPAIGN))
    categories = min(CATEGORIES, campaigns)
    advertisers = max(1, campaigns // _CAMPAIGNS_AN_ADVERTISER)
    advertiser = rng.integers(advertisers, size=campaigns)
    is_late = (rng.random(campaigns) < late) & (np.arange(campaigns) >= categories)
    reputation = rng.normal(0, 0.5, advertisers)
    volume = rng.lognormal(0, 0.8, campaigns)
    return Structure(
        categories=_unit(rng, categories, dim),
        advertisers=_unit(rng, advertisers, dim),
        category=np.concatenate(
            [np.arange(categories), rng.integers(categories, size=campaigns - categories)], dtype=np.int32
        ),
        advertiser=advertiser.astype(np.int32),
        start=np.where(is_late, rng.integers(days * DAY, size=campaigns), 0),
        price=rng.normal(3, 0.8, campaigns).astype(np.float32),
        quality=(reputation[advertiser] + rng.normal(0, 0.4, campaigns)).astype(np.float32),
        volume=volume / volume.sum(),
        segments=rng.normal(0, 1.6, (SEGMENTS, categories)),
        countries=rng.normal(0, 0.6, (len(COUNTRIES), categories)),
    )


@dataclass(frozen=True)
class Ads:
    """Some ads: campaign rows [n], price [n], vectors [n, d], bias [n], and the log of their exposure [n]."""

    campaign: Int32
    price: Float32
    vectors: Float32
    bias: Float32
    exposure: Float32


def draw_ads(rng: np.random.Generator, structure: Structure, rows: NDArray[Any]) -> Ads:
    """The ads of these rows. The first rows are one ad of each campaign, so that none is empty.

    Better ads are shown more, but exposure has a larger part that quality has no say in.
    """
    n, dim = len(rows), structure.categories.shape[1]
    drawn = np.searchsorted(np.cumsum(structure.volume), rng.random(n))
    campaign = np.where(rows < len(structure.start), rows, np.minimum(drawn, len(structure.start) - 1))
    price = structure.price[campaign] + rng.normal(0, 0.3, n)
    bias = structure.quality[campaign] - 0.4 * (price - 3) + rng.normal(0, 0.3, n)
    vectors = (
        structure.categories[structure.category[campaign]]
        + _ADVERTISER_PART * structure.advertisers[structure.advertiser[campaign]]
        + _OWN_PART * _unit(rng, n, dim)
    )
    exposure = 0.8 * bias + rng.normal(0, 1.2, n)
    return Ads(
        campaign=campaign.astype(np.int32),
        price=np.exp(price).astype(np.float32),
        vectors=vectors.astype(np.float32),
        bias=(_BASE + bias).astype(np.float32),
        exposure=exposure.astype(np.float32),
    )


@dataclass(frozen=True)
class People:
    """Some users: segment, country, age [n], categories they like [n, 3], vectors [n, d], activity [n]."""

    segment: Int32
    country: Int32
    age: Int32
    interests: Int32
    vectors: Float32
    activity: NDArray[np.float64]


def draw_people(rng: np.random.Generator, structure: Structure, n: int) -> People:
    """n users; activity is a mean of 1 request, spread as people's activity is."""
    segment = rng.integers(SEGMENTS, size=n)
    country = rng.integers(len(COUNTRIES), size=n)
    interest = structure.segments[segment] + structure.countries[country]
    # The largest of log weights with Gumbel noise are a draw by weight without putting back.
    picked = np.argsort(-(interest + rng.gumbel(size=interest.shape)), axis=1)[:, :INTERESTS]
    share = rng.dirichlet(np.full(picked.shape[1], 3.0), size=n)
    mixed = np.einsum("nj,njd->nd", share, structure.categories[picked])
    mixed += _USER_OWN_PART * _unit(rng, n, mixed.shape[1])
    vectors = _TASTE * mixed / np.linalg.norm(mixed, axis=1, keepdims=True)
    return People(
        segment=segment.astype(np.int32),
        country=country.astype(np.int32),
        age=np.clip(rng.normal(22 + 5 * segment, 6), 16, 90).astype(np.int32),
        interests=picked.astype(np.int32),
        vectors=vectors.astype(np.float32),
        activity=rng.lognormal(-0.32, 0.8, n),
    )


def _unit(rng: np.random.Generator, n: int, dim: int) -> Float32:
    """n directions, each of length 1."""
    vectors = rng.standard_normal((n, dim), dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
