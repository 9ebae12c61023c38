# The Swift toolchain: the one thing the set-up does not install itself.

WANTED_SWIFT=6.2

check_toolchain() {
    local line version
    if ! command -v swift >/dev/null 2>&1; then
        fail "there is no 'swift' on the PATH." \
            "CollaFuse needs a Swift $WANTED_SWIFT toolchain or newer (6.3 is what it is developed with)." \
            "Get it for Debian 12 at https://www.swift.org/install/linux/ and put its usr/bin on the PATH."
    fi
    line=$(swift --version 2>/dev/null) || fail "'swift --version' does not run." \
        "Try it by hand: libraries that the toolchain needs may be missing." \
        "They are listed at https://www.swift.org/install/linux/"
    version=$(sed -n 's/.*Swift version \([0-9][0-9]*\.[0-9][0-9]*\).*/\1/p' <<<"$line" | head -n 1)
    if [ -z "$version" ] || ! version_at_least "$version" "$WANTED_SWIFT"; then
        fail "Swift ${version:-of an unknown version} is too old ($(command -v swift))." \
            "CollaFuse needs $WANTED_SWIFT or newer: https://www.swift.org/install/linux/"
    fi
    SWIFT_VERSION=$version
}

# Free space where the checkout lies, before the parts that fill it.
check_disk() {
    local wanted_mib=0 free_mib
    [ -d "$ROOT/.libtorch/lib" ] || wanted_mib=$((wanted_mib + 900))
    [ -d "$ROOT/.build/checkouts" ] || wanted_mib=$((wanted_mib + 2500))
    [ "$wanted_mib" -gt 0 ] || return 0
    free_mib=$(df -Pm "$ROOT" | awk 'NR == 2 { print $4 }')
    [ "${free_mib:-0}" -ge "$wanted_mib" ] || fail "not enough disk space in $ROOT: $free_mib MiB free, $wanted_mib MiB needed." \
        "Free some, or clone CollaFuse to a larger disk."
}

# The Swift packages, before the build, so that a missing network is said once and plainly.
fetch_packages() {
    local log
    [ ! -f "$ROOT/.build/workspace-state.json" ] || [ "$ROOT/Package.swift" -nt "$ROOT/.build/workspace-state.json" ] || return 0
    say "fetching the Swift packages that Package.swift names"
    log=$(mktemp)
    if ! (cd "$ROOT" && swift package resolve) >"$log" 2>&1; then
        tail -n 4 "$log" >&2
        rm -f "$log"
        fail "the Swift packages could not be fetched." \
            "They come with git from the addresses in Package.swift: check the network (or the proxy in https_proxy) and try again."
    fi
    rm -f "$log"
    touch "$ROOT/.build/workspace-state.json"
}
