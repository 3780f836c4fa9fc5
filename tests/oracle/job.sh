#!/bin/sh
# What a job of a test runs: it writes down, outside of the queue, that it began, that it lives, and how it ended.
#
#   job.sh FOLDER SECONDS STATUS
#
# FOLDER is local to the node. The file is FOLDER/jobs.<node>, a line for each event:
#
#   start|beat|end <jid> <attempt> <node> <boot id> <seconds since boot> <pid> <status or -> .
#
# Start and end are on stable storage before the job goes on; beats (about three in a second) are not, because
# one that is lost only makes the attempt look shorter. The point at the end tells a whole line from a torn one,
# and the newline before it keeps a torn one from spoiling the next. A job that cannot write ends with 97.

folder=$1 seconds=$2 status=$3
node=${RQ_RUNNER:-$(uname -n)}
file=$folder/jobs.$node
read -r boot </proc/sys/kernel/random/boot_id

line() { # EVENT STATUS: sets $line
    read -r now _ </proc/uptime
    line="$1 $RQ_JID $RQ_ATTEMPT $node $boot $now $$ $2 ."
}

durably() { # EVENT STATUS
    line "$1" "$2"
    printf '\n%s\n' "$line" | dd of="$file" oflag=append conv=notrunc,fsync status=none || exit 97
}

milliseconds() { # SECONDS: prints them as a whole number of milliseconds; there is no arithmetic of fractions here
    whole=${1%%.*} part=${1#"${1%%.*}"}
    part=${part#.}000
    part=${part%"${part#???}"}
    echo $((${whole:-0} * 1000 + 1${part} - 1000))
}

durably start -
left=$(milliseconds "$seconds")
while [ "$left" -gt 0 ]; do
    if [ "$left" -ge 300 ]; then step=0.3; else step=$(printf '0.%03d' "$left"); fi
    sleep "$step"
    left=$((left - 300))
    line beat -
    printf '\n%s\n' "$line" >>"$file"
done
durably end "$status"
exit "$status"
