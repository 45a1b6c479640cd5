#!/usr/bin/env bash
# A nightly run on two machines that see the same folder, such as one of NFS, at /srv/funnel.
#
#   two-hosts.sh head               on the first machine, which also runs the command
#   two-hosts.sh worker HEAD        on every other one
#   two-hosts.sh run CONFIG         on the first machine
#
# Each has the same Python and: pip install "funnel-rank[train,plot,scale]". Whoever has the cluster's token,
# which is made in the shared folder, may run what they like on it.
set -euo pipefail

export RAY_USAGE_STATS_ENABLED=0
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=/srv/funnel/.ray-token
port=6379

case "${1:-}" in
  head)
    [ -s "$RAY_AUTH_TOKEN_PATH" ] || (umask 077 && python3 -c "import secrets; print(secrets.token_hex(32))" > "$RAY_AUTH_TOKEN_PATH")
    ray start --head --port "$port" --include-dashboard false
    ;;
  worker) ray start --address "${2:?the name of the first machine}:$port" ;;
  run)
    cd /srv/funnel
    funnel run "${2:?a config}" --store /srv/funnel/indexes --embeddings /srv/funnel/embeddings --ray "$(hostname):$port"
    ;;
  *)
    sed -n '2,10s/^# \{0,1\}//p' "$0"
    exit 2
    ;;
esac
