#!/bin/sh
# An agent as a shell script: agrees to every processor except those of `refuse`.
#
#     hotadd run --driver exec:examples/agent.sh -- COMMAND
#
# A shell cannot export a D-Bus object, neither with busctl nor with gdbus. So hotadd starts this script for each notice, and the
# exit status is the answer. docs/scripts.md describes what it is told. A script has no options and no variables but those.
refuse="1"

case $1 in
add-start)
    # A processor that is active already ($HOTADD_REPLAY is 1) is not refused: then the script would not be registered.
    for id in $refuse; do
        [ "$HOTADD_REPLAY$id" = "0$2" ] || continue
        echo "there is no room for processor $2" >&2 # the last line is the reason
        exit 1
    done
    ;;                           # prepare for it here
add-failure | remove-complete) ;; # undo here what was prepared
add-complete | remove-start | remove-failure) ;;
*) exit 1 ;; # an unknown state: refuse
esac
echo "$1 $2 at epoch $HOTADD_EPOCH"
