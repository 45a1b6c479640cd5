"""Workers without a cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from multiprocessing.connection import Connection
from typing import Any

from funnel.recipes import Member, Recipe
from tests.processes import context


class Apart:
    """Workers that do parts in this process, and what is done together in processes of their own."""

    def each(self, recipe: Recipe, parts: Iterable[Any]) -> Iterator[Any]:
        return map(recipe.work, parts)

    def together(self, recipe: Recipe, n: int) -> list[Any]:
        ours, processes = [], []
        for number in range(n):
            own, theirs = context().Pipe()
            process = context().Process(target=_member, args=(recipe, number, n, theirs), daemon=True)
            process.start()
            theirs.close()  # so that its end is seen here
            ours.append(own)
            processes.append(process)
        try:
            while True:
                said = [pipe.recv() for pipe in ours]
                for how, value in said:
                    if how == "raised":
                        raise value
                values = [value for _, value in said]
                if all(how == "ended" for how, _ in said):
                    return values
                for pipe in ours:
                    pipe.send(values)
        finally:
            for process in processes:
                process.terminate()
                process.join()


def _member(recipe: Recipe, number: int, n: int, pipe: Connection) -> None:
    def gather(value: Any) -> list[Any]:
        pipe.send(("gathers", value))
        return list(pipe.recv())

    try:
        pipe.send(("ended", recipe.work(Member(number, n, "", "127.0.0.1", gather))))
    except Exception as error:
        pipe.send(("raised", error))
