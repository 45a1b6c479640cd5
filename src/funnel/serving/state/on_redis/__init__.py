"""The state of a store on a Redis server, shared by any number of machines."""

from funnel.serving.state.on_redis.log import RedisLog

__all__ = ["RedisLog"]
