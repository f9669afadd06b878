#!/bin/sh
# Lets a member join an etcd cluster through Temporal's HTTP API. It needs curl and jq, and nothing of memberflow.
#
#   TEMPORAL_HTTP=http://temporal:7243 join-http.sh CLUSTER NAME PEER_URL ENV_FILE
#
# It writes the ETCD_* values of the new member to ENV_FILE as soon as the learner is added, and prints the outcome as
# one JSON object. With UNTIL=added it ends there. Run it again at any time: it attaches to the join that runs.
# TEMPORAL_NAMESPACE, TEMPORAL_API_KEY and MEMBERFLOW_TASK_QUEUE are read as by memberflow. Exit codes are memberflow's:
# 1 failed, 2 wrong request, 3 Temporal or the worker did not answer for PATIENCE seconds (60), 5 refused.
set -eu
[ $# -eq 4 ] || { echo "usage: TEMPORAL_HTTP=URL $0 CLUSTER NAME PEER_URL ENV_FILE" >&2 && exit 2; }
cluster=$1 name=$2 env_file=$4
change=${TEMPORAL_HTTP:?}/api/v1/namespaces/${TEMPORAL_NAMESPACE:-default}/workflows/memberflow:$cluster:join:$name
wanted=$(jq -n --arg c "$cluster" --arg n "$name" --arg u "$3" --arg by "$(id -un)@$(uname -n)" \
    '{cluster: $c, name: $n, peer_urls: [$u], requested_by: $by}')
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# In a file: other users of this machine can read a command's arguments.
printf 'Content-Type: application/json\n' >"$work/headers"
[ -z "${TEMPORAL_API_KEY:-}" ] || printf 'Authorization: Bearer %s\n' "$TEMPORAL_API_KEY" >>"$work/headers"

leave() { echo "$2" >&2 && exit "$1"; }
case $cluster$name in *[!A-Za-z0-9._-]*) leave 2 "CLUSTER and NAME may have letters, digits, dot, dash, underscore" ;; esac
pick() { jq --raw-output "$1" "$work/answer"; }

# ask PATH [BODY]: leaves the answer in a file and its status in $status; asks again while there is none.
ask() {
    asked=$(date +%s)
    until status=$(curl --silent --max-time 30 --header "@$work/headers" --output "$work/answer" \
        --write-out '%{http_code}' ${2:+--data "$2"} "$change$1") && [ "$status" -lt 500 ] && [ "$status" -ne 429 ]; do
        [ $(($(date +%s) - asked)) -lt "${PATIENCE:-60}" ] ||
            leave 3 "no answer from $TEMPORAL_HTTP (HTTP $status); the join, if it runs, goes on: run this again"
        sleep 1
    done
}

ask "" "$(jq -n --argjson request "$wanted" --arg queue "${MEMBERFLOW_TASK_QUEUE:-memberflow}" --arg once "$work" '{
    workflowType: {name: "JoinMember"}, taskQueue: {name: $queue}, requestId: $once, input: [$request],
    workflowIdConflictPolicy: "WORKFLOW_ID_CONFLICT_POLICY_FAIL", memo: {fields: {request: $request}}}')"
case $status in
200) ;;
409) # It runs already. Temporal compares no requests.
    ask ""
    running=$(pick '.workflowExecutionInfo.memo.fields.request // empty')
    [ -n "$running" ] || { ask "/history?maximumPageSize=1" &&
        running=$(pick '.history.events[0].workflowExecutionStartedEventAttributes.input[0] | .request // .'); }
    jq -en --argjson a "$wanted" --argjson b "$running" 'def essence: {hold_before: null, launcher: null} + . |
        del(.requested_by) | .peer_urls |= sort; ($a | essence) == ($b | essence)' >/dev/null ||
        leave 2 "another join of $name into $cluster runs, with a different request: $running"
    ;;
*) leave 2 "Temporal refuses to start the join (HTTP $status): $(pick .message)" ;;
esac

# The wait becomes long polls of 20 s, all for one update: an update with the same ID is the same update. A change that
# goes on in a new run says AskAgain.
asked_first=$(date +%s)
until ask /update/wait_until_added "$(jq -n --arg once "$work" '{request: {meta: {updateId: $once}, input: {}},
        waitPolicy: {lifecycleStage: "UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED"}}')" &&
    [ "$status" -ne 200 ] ||
    [ -n "$(pick '.outcome // empty | select(.failure.applicationFailureInfo.type != "AskAgain")')" ]; do
    [ -z "$(pick '.outcome // empty')" ] || sleep 1
    [ "$(pick .stage)" != UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_ADMITTED ] ||
        [ $(($(date +%s) - asked_first)) -lt "${PATIENCE:-60}" ] ||
        leave 3 "no worker has taken the join: it waits for one; run this again"
done
if [ -n "$(pick '.outcome.success // empty')" ]; then
    # Quoted for both readers: the shell, and systemd's EnvironmentFile=.
    pick '.outcome.success[0] | to_entries[] | "ETCD_\(.key | ascii_upcase)=\(.value | @sh)"' >"$env_file.new"
    mv "$env_file.new" "$env_file"
    # A voter has a handover, too. With UNTIL=added only a member that is awaited ends it here.
    ask /query/progress '{"query": {}}'
    case $(pick '.queryResult[0].stage') in
    null | add | sync | promote) awaited=${UNTIL:-} ;;
    *) awaited= ;;
    esac
    ask "?"
    if [ "$awaited $(pick .workflowExecutionInfo.status)" = "added WORKFLOW_EXECUTION_STATUS_RUNNING" ]; then
        jq -n --argjson request "$wanted" '$request | {cluster, member: .name, outcome: "added"}'
        exit 0
    fi
fi

# The change's end. Without a run in the path a reset of the change does not end the wait.
while ask "?" && [ "$(pick .workflowExecutionInfo.status)" = WORKFLOW_EXECUTION_STATUS_RUNNING ]; do
    ask "/history?waitNewEvent=true&historyEventFilterType=HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT"
done
ask "/history?historyEventFilterType=HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT"
event='(.history.events[0] // {})'
failure="$event.workflowExecutionFailedEventAttributes.failure"
outcome="($event.workflowExecutionCompletedEventAttributes.result[0] // $failure.applicationFailureInfo.details[0])"
if [ -n "$(pick "$outcome // empty")" ]; then
    pick "$outcome"
else
    echo "the join ended without an outcome: $(pick "$failure.message // $event.eventType")" >&2
fi
case $(pick "$failure.applicationFailureInfo.type // $outcome.outcome") in
promoted | already-voter) exit 0 ;;
UnknownCluster | UnknownLauncher | InvalidConfiguration | InvalidRequest) exit 2 ;;
NoWorker) exit 3 ;;
esac
[ "$(pick "$outcome.outcome")" = refused ] && exit 5
exit 1
