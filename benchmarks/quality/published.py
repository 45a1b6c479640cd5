"""Published figures of the same protocol: every item ranked that the user has not met.

Copied from the papers' tables and from BARS (openbenchmark.github.io); ours are measured, these are read.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """One line of a table. figures: by metric, as reported; `source`: where it is printed."""

    model: str
    figures: dict[str, float]
    source: str


def _beauty(model: str, hit: float | None, ndcg: float, source: str) -> Published:
    return Published(model, ({} if hit is None else {"hr@10": hit}) | {"ndcg@10": ndcg}, source)


def _gowalla(model: str, recall: float, ndcg: float) -> Published:
    return Published(model, {"recall@20": recall, "ndcg@20": ndcg}, "BARS, Gowalla_m1")


_S3REC, _TIGER, _BSAREC = (
    "arXiv 2008.07873, table 2",
    "arXiv 2305.05065, table 1",
    "arXiv 2312.10325, table 2",
)

_WEAREC = "its repository's logs (AAAI 2026): the best of 88 settings by their test score"
_WEAREC_MEAN = "the same logs: the mean over the 88 settings"

TABLES: dict[str, tuple[Published, ...]] = {
    "amazon-beauty": (
        _beauty("SASRec", 0.0605, 0.0318, _S3REC),
        _beauty("S3-Rec", 0.0647, 0.0327, _S3REC),
        _beauty("TIGER", 0.0648, 0.0384, _TIGER),
        _beauty("BSARec", 0.1008, 0.0611, _BSAREC),
        _beauty("WEARec", 0.1041, 0.0614, _WEAREC),
        _beauty("WEARec, mean of 88 settings", None, 0.0591, _WEAREC_MEAN),
    ),
    "amazon-sports": (
        _beauty("SASRec", 0.0350, 0.0192, _S3REC),
        _beauty("S3-Rec", 0.0385, 0.0204, _S3REC),
        _beauty("TIGER", 0.0400, 0.0225, _TIGER),
        _beauty("BSARec", 0.0612, 0.036, _BSAREC),
        _beauty("WEARec", 0.0631, 0.0367, _WEAREC),
        _beauty("WEARec, mean of 88 settings", None, 0.0353, _WEAREC_MEAN),
    ),
    "gowalla": (
        _gowalla("YoutubeDNN", 0.1754, 0.1473),
        _gowalla("EASE", 0.1765, 0.1467),
        _gowalla("LightGCN", 0.1820, 0.1547),
        _gowalla("GF-CF", 0.1849, 0.1518),
        _gowalla("UltraGCN", 0.1862, 0.1580),
        _gowalla("SimpleX", 0.1872, 0.1557),
        _gowalla("BSPM (about)", 0.192, 0.160),
    ),
    "mq2008": (
        Published("LightGBM", {"ndcg@10": 0.8227}, "CatBoost's ranking benchmark, iteration chosen on test"),
        Published("XGBoost", {"ndcg@10": 0.8229}, "CatBoost's ranking benchmark, iteration chosen on test"),
        Published("CatBoost", {"ndcg@10": 0.828}, "CatBoost's ranking benchmark, iteration chosen on test"),
    ),
}
