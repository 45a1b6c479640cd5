"""Workers that are threads of the test's own process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from funnel.recipes import Member, Recipe


class Threads:
    """Workers that are threads of this process: LightGBM's sockets are a thread's own."""

    def each(self, recipe: Recipe, parts: Iterable[Any]) -> Iterator[Any]:
        return map(recipe.work, parts)

    def together(self, recipe: Recipe, n: int) -> list[Any]:
        barrier, left = threading.Barrier(n, timeout=60), dict[int, Any]()

        def gather_of(number: int) -> Callable[[Any], list[Any]]:
            def gather(value: Any) -> list[Any]:
                left[number] = value
                barrier.wait()
                all_of_them = [left[other] for other in range(n)]
                barrier.wait()
                return all_of_them

            return gather

        with ThreadPoolExecutor(n) as pool:
            members = [Member(number, n, "", "127.0.0.1", gather_of(number)) for number in range(n)]
            return list(pool.map(recipe.work, members))
