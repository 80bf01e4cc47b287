#!/bin/sh
# Bring one agent into its federation, if it is not in it yet, and run it. Every step may be repeated.
#
#   HANSA_NAME          the agent's name
#   HANSA_ROLE          party, aggregator or arbiter
#   HANSA_ORGANISATION  whose it is
#   HANSA_HOME          where it keeps everything
#   HANSA_INVITES       folder of invitations: the aggregator writes MEMBER.invite there, and MEMBER reads it
#   HANSA_LEDGER        URL of the database for its ledger, if that shall not lie in its home
#   HANSA_LEDGER_PASSWORD_FILE  file with that database's password, which then stands in no URL
#
# The aggregator also takes:
#   HANSA_FEDERATION    the federation's name
#   HANSA_BROKER        amqp(s)://host:port
#   HANSA_MANAGEMENT_FILE  file with the management API's URL, administrator and password included
#   HANSA_MEMBERS       who is let in, names parted by spaces
#
# A party also takes:
#   HANSA_DATA          its file of rows, and HANSA_DATASET, HANSA_ID, HANSA_TARGET for its name and columns
set -eu
umask 077
: "${HANSA_NAME:?}" "${HANSA_ROLE:?}" "${HANSA_HOME:?}" "${HANSA_INVITES:?}"
export HANSA_HOME

# Whether agent.toml has this section; the federation's is the last thing that founding and joining write.
has_section() {
    grep -q "^\[$1\]" "$HANSA_HOME/agent.toml"
}

if [ ! -e "$HANSA_HOME/identity.key" ]; then
    hansa init "$HANSA_HOME" --name "$HANSA_NAME" --role "$HANSA_ROLE" --organisation "${HANSA_ORGANISATION:-}"
fi

if [ -n "${HANSA_LEDGER_PASSWORD_FILE:-}" ]; then
    # A copy, because a secret's file keeps its mode and owner on the host, and an agent takes no password that others
    # can read; made anew each time, so that a new password counts from the next start.
    cat "$HANSA_LEDGER_PASSWORD_FILE" >"$HANSA_HOME/ledger.password"
fi
if [ -n "${HANSA_LEDGER:-}" ] && ! has_section ledger; then
    {
        printf '\n[ledger]\nurl = "%s"\n' "$HANSA_LEDGER"
        [ -z "${HANSA_LEDGER_PASSWORD_FILE:-}" ] || echo 'password_file = "ledger.password"'
    } >>"$HANSA_HOME/agent.toml"
fi

# Before joining, this only checks the rows and notes them; the agent registers them when it runs.
if [ -n "${HANSA_DATA:-}" ] && ! has_section "data\.${HANSA_DATASET:?}"; then
    hansa data add "$HANSA_DATA" --name "$HANSA_DATASET" --id "${HANSA_ID:-id}" ${HANSA_TARGET:+--target "$HANSA_TARGET"}
fi

if [ "$HANSA_ROLE" = aggregator ]; then
    : "${HANSA_FEDERATION:?}" "${HANSA_BROKER:?}" "${HANSA_MANAGEMENT_FILE:?}"
    HANSA_MANAGEMENT=$(cat "$HANSA_MANAGEMENT_FILE")
    export HANSA_MANAGEMENT
    members=
    if has_section federation; then
        members=$(hansa federation members --json)
    else
        hansa federation create "$HANSA_FEDERATION" --broker "$HANSA_BROKER"
    fi
    for member in ${HANSA_MEMBERS:-}; do
        # Whoever is or was a member is not invited again: that is for a person to decide.
        if [ ! -e "$HANSA_INVITES/$member.invite" ] && ! printf '%s\n' "$members" \
            | grep -Eq "^\{\"name\": \"$member\", .*\"status\": \"(active|suspended|left)\""; then
            hansa federation invite "$member" --admit --out "$HANSA_INVITES/$member.invite"
        fi
    done
    unset HANSA_MANAGEMENT # the agent itself needs no such rights
elif ! has_section federation; then
    invite=$HANSA_INVITES/$HANSA_NAME.invite
    waited=0
    until [ -e "$invite" ]; do
        if [ "$waited" -ge 300 ]; then
            echo "hansa: no $invite after $waited s: is the aggregator up?" >&2
            exit 1
        fi
        sleep 1
        waited=$((waited + 1))
    done
    hansa join "$invite" --wait 300
fi

exec hansa agent run "$@"
