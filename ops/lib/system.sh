# Debian packages: asked about one by one, installed only where missing.

# package → what CollaFuse takes from it
SYSTEM_PACKAGES=(libzmq3-dev libsodium-dev libsqlite3-dev libpng-dev libjpeg-dev zlib1g-dev pkg-config)

# What fetching libtorch needs on top.
FETCH_PACKAGES=(python3 python3-pip)

missing_packages() {
    local package
    for package in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || printf '%s\n' "$package"
    done
}

# install_packages PACKAGE...: those that are missing; says which, and stops with the exact line when it may not.
install_packages() {
    local missing run_as=() log
    command -v dpkg-query >/dev/null 2>&1 || fail "this is not a Debian system (there is no dpkg-query)." \
        "Install what these Debian packages hold by other means: $*" \
        "and set COLLAFUSE_SKIP_APT=1."
    mapfile -t missing < <(missing_packages "$@")
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" -ne 0 ]; then
        if sudo -n true >/dev/null 2>&1; then
            run_as=(sudo -n)
        else
            fail "these system packages are missing: ${missing[*]}" \
                "Install them, then run make again:" \
                "sudo apt-get update && sudo apt-get install --no-install-recommends -y ${missing[*]}"
        fi
    fi
    say "installing system packages: ${missing[*]}"
    log=$(mktemp)
    if ! { "${run_as[@]}" apt-get update && "${run_as[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install --no-install-recommends -y "${missing[@]}"; } >"$log" 2>&1; then
        tail -n 5 "$log" >&2
        rm -f "$log"
        fail "apt-get could not install: ${missing[*]}" \
            "Check the network, or install them by hand:" \
            "sudo apt-get update && sudo apt-get install --no-install-recommends -y ${missing[*]}"
    fi
    rm -f "$log"
}
