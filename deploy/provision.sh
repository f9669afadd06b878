#!/bin/sh
# Makes this machine a member of an etcd cluster. For a provisioning system to run at every boot: a second run
# attaches to the first one's join, or finds that the member is a voter already.
#
#   provision.sh CLUSTER NAME PEER_URL
#
# It needs TEMPORAL_ADDRESS (and what else Temporal asks for), and nothing of etcd's: the workers have that.
# Leaves with memberflow's exit code: 3 is worth another try, 5 is a refusal with its reason on stderr.
set -eu
cluster=$1
name=$2
peer_url=$3
env_file=${ENV_FILE:-/etc/etcd/join.env}
data_dir=${DATA_DIR:-/var/lib/etcd}
start_etcd=${START_ETCD:-systemctl enable --now etcd.service}

outcome=$(memberflow join "$cluster" "$name" --peer-url "$peer_url" --until added --env-file "$env_file" --json) || {
    code=$?
    echo "$outcome" >&2
    exit "$code"
}
case $outcome in
*'"already-voter"'*)
    # Under its old ID an emptied member panics, or forgets whom it voted for.
    if [ ! -d "$data_dir/member" ]; then
        echo "$name is a voter of $cluster, but its data is not in $data_dir: remove it, then let it join anew" >&2
        exit 1
    fi
    ;;
esac
# The values count at etcd's first start alone; from then on its data directory says who it is.
$start_etcd
memberflow watch "$cluster" "$name"
