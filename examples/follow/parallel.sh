#!/bin/sh
# As many jobs of GNU parallel as there are processors: parallel.sh (docs/runtimes.md)
set -eu
jobs=$(mktemp)
size=0
follow() {
    # GNU parallel reads the file again whenever a job has ended and the file's time, in seconds, is later than before. So the file is
    # replaced each time: a change within the second of the last reading would be missed. It is never seen half written.
    nproc >"$jobs.new"
    mv "$jobs.new" "$jobs"
    read -r count <"$jobs"
    [ "$count" = "$size" ] || echo workers "$count"
    size=$count
}
follow
while sleep 1; do follow; done &
follower=$!
trap 'kill $follower; rm -f "$jobs" "$jobs.new"' EXIT
yes | parallel --jobs "$jobs" --ungroup -N0 'i=0; while [ $i -lt 300000 ]; do i=$((i + 1)); done'
