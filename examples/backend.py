"""A recommendation backend in twenty lines: load the published bundle once, answer in process.

Run it after `make demo`:  python examples/backend.py indexes 42
"""

import sys

from funnel import Live

live = Live(sys.argv[1], watch=5)  # verifies before it serves, and takes up newly published bundles


def ads_for(user_id: int) -> list[str]:
    """The titles to show. A user never seen is no error: `answer.reasons` says so."""
    answer = live.recommend(user_id, k=10, where={"genres": ["Comedy", "Drama"]})
    return [f"{item.attributes['title']} ({', '.join(item.reasons)})" for item in answer.items]


for title in ads_for(int(sys.argv[2])):
    sys.stdout.write(title + "\n")
