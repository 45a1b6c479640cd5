#!/usr/bin/env bash
# A nightly run on two machines that see the same folder, such as one of NFS, at /srv/funnel.
#
#   two-hosts.sh head               on the first machine, which also runs the command
#   two-hosts.sh worker HEAD        on every other one
#   two-hosts.sh run CONFIG         on the first machine
#
# Each has the same Python and: pip install "funnel-rank[train,plot,scale]"
set -euo pipefail

export RAY_USAGE_STATS_ENABLED=0
port=6379

case "${1:-}" in
  head) ray start --head --port "$port" --include-dashboard false ;;
  worker) ray start --address "${2:?the name of the first machine}:$port" ;;
  run)
    cd /srv/funnel
    funnel run "${2:?a config}" --store /srv/funnel/indexes --embeddings /srv/funnel/embeddings --ray "$(hostname):$port"
    ;;
  *)
    sed -n '2,9s/^# \{0,1\}//p' "$0"
    exit 2
    ;;
esac
