# collafuse-libtorch.pc: how SwiftPM learns where libtorch is (docs/decisions/0001-libtorch-by-pkg-config.md).

PC_NAME=collafuse-libtorch.pc
PC_FOLDER=${COLLAFUSE_PC_DIR:-/usr/local/lib/pkgconfig}

# The libtorch that the file names now, or nothing.
wired_libtorch() { sed -n 's/^prefix=//p' "$PC_FOLDER/$PC_NAME" 2>/dev/null | head -n 1; }

# Only -I, -L and -l reach the compiler from here: SwiftPM drops everything else. Not -ltorch, which holds nothing but, in a build for CUDA,
# the need for libtorch_cuda.so: that is loaded where it is asked for (docs/decisions/0014-cuda-when-asked-for.md).
pc_text() {
    cat <<EOF
prefix=$LIBTORCH_ROOT
Name: collafuse-libtorch
Description: The libtorch that CollaFuse is built with
Version: $(libtorch_version "$LIBTORCH_ROOT")
Cflags: -I"\${prefix}/include" -I"\${prefix}/include/torch/csrc/api/include"
Libs: -L"\${prefix}/lib" -ltorch_cpu -lc10
EOF
}

# Written only when it says something else, so that a second set-up rebuilds nothing.
wire_libtorch() {
    local text place="$PC_FOLDER/$PC_NAME" made="$ROOT/.build/$PC_NAME"
    text=$(pc_text)
    [ "$(cat "$place" 2>/dev/null)" != "$text" ] || return 0
    say "telling SwiftPM where libtorch is: $place"
    if { mkdir -p "$PC_FOLDER" && printf '%s\n' "$text" >"$place.$$" && mv "$place.$$" "$place"; } 2>/dev/null; then return 0; fi
    mkdir -p "$ROOT/.build"
    printf '%s\n' "$text" >"$made"
    if sudo -n install -D -m 644 "$made" "$place" 2>/dev/null; then return 0; fi
    fail "SwiftPM must be told where libtorch is, and $PC_FOLDER cannot be written." \
        "Run this once, then make again:" \
        "sudo install -D -m 644 '$made' '$place'"
}
