"""The same steps on a cluster: parts of them as Ray's tasks. Ray is imported here alone, and when it is used.

Ray places work and does it again where a worker is lost; what is kept lies in folders that all machines see,
so that nothing is lost with Ray. Requests never go through it.

    with connected(ScaleConfig(address="local", workers=2), [Path("indexes")]) as workers, done_by(workers):
        outcome = run(config, Store("indexes"), Store("embeddings"))
"""

from funnel.scale.cluster import connected
from funnel.scale.config import ScaleConfig

__all__ = ["ScaleConfig", "connected"]
