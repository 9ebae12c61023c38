# How the set-up talks: one line a step, and one block for what a person has to do.

say() { printf '%s\n' "set-up: $*"; }

# fail TITLE [LINE...]: what is wrong, then what to do about it. Ends the set-up.
fail() {
    printf '\nset-up stopped: %s\n' "$1" >&2
    shift
    [ $# -eq 0 ] || printf '    %s\n' "$@" >&2
    exit 1
}

# version_at_least HAVE WANT: compares MAJOR.MINOR.
version_at_least() {
    local have_major=${1%%.*} have_rest=${1#*.} want_major=${2%%.*} want_rest=${2#*.}
    local have_minor=${have_rest%%.*} want_minor=${want_rest%%.*}
    [ "$have_major" -gt "$want_major" ] || { [ "$have_major" -eq "$want_major" ] && [ "$have_minor" -ge "$want_minor" ]; }
}
