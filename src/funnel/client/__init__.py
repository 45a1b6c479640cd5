"""A service that `funnel serve` started, over HTTP: the methods, values and errors of `Live`.

with funnel.Client("http://127.0.0.1:8000", key="...") as client:
    answer = client.recommend(user_id, k=10)
"""

from funnel.client.asynchronous import AsyncClient
from funnel.client.blocking import Client

__all__ = ["AsyncClient", "Client"]
