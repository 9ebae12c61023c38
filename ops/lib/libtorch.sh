# libtorch: found where it already is, else the C++ half of the pinned torch wheel.
#
# A libtorch is a folder with include/ and lib/. The first of these that there is:
#   1. LIBTORCH, when set: it must be right, nothing else is tried
#   2. what collafuse-libtorch.pc names, from an earlier set-up
#   3. .libtorch/ in this checkout
#   4. an installed Python torch of 2.11 or newer
#   5. the pinned wheel of the CPU build, fetched into .libtorch/
#
# Builds for CUDA are as good as builds for the CPU, and are the ones that --device cuda works with: docs/gpu.md.

WANTED_LIBTORCH=2.11
PINNED_TORCH='2.13.0+cpu'
PINNED_PLATFORM="manylinux_2_28_$(uname -m)"
PINNED_SHA256_x86_64=6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b
TORCH_INDEX=https://download.pytorch.org/whl/cpu

libtorch_version() {
    awk '/define TORCH_VERSION_MAJOR/ { major = $3 } /define TORCH_VERSION_MINOR/ { minor = $3 } END { if (major != "") print major "." minor }' \
        "$1/include/torch/headeronly/version.h" 2>/dev/null
}

# Says in WHY_NOT what keeps a folder from being used.
is_libtorch() {
    local file version
    for file in include/torch/csrc/api/include/torch/torch.h lib/libtorch.so lib/libtorch_cpu.so lib/libc10.so; do
        [ -f "$1/$file" ] || { WHY_NOT="it has no $file"; return 1; }
    done
    version=$(libtorch_version "$1")
    if [ -z "$version" ] || ! version_at_least "$version" "$WANTED_LIBTORCH"; then
        WHY_NOT="its version is ${version:-older than 2.9} and $WANTED_LIBTORCH is the oldest that works"
        return 1
    fi
    # Its libtorch_cpu.so needs CUDA's runtime too.
    if is_for_cuda "$1" && [ -z "$(cuda_libraries "$1" | grep -F libcudart)" ]; then
        WHY_NOT="it is a CUDA build without CUDA's own libraries, which pip installs beside it (nvidia/*/lib)"
        return 1
    fi
}

is_for_cuda() { [ -f "$1/lib/libtorch_cuda.so" ]; }

# CUDA's own libraries, a line each: in packages beside torch, as pip lays them, or within, as in a libtorch archive.
cuda_libraries() { find "$1/../nvidia" "$1/lib" -path '*/lib/lib*.so*' ! -name '*torch*' ! -name 'libc10*' 2>/dev/null; }

python_torch() {
    command -v python3 >/dev/null 2>&1 || return 1
    python3 -c '
import importlib.util, os, sys
spec = importlib.util.find_spec("torch")
sys.exit(1) if spec is None or spec.origin is None else print(os.path.dirname(spec.origin))' 2>/dev/null
}

# Sets LIBTORCH_ROOT.
find_libtorch() {
    local candidate
    if [ -n "${LIBTORCH:-}" ]; then
        is_libtorch "$LIBTORCH" || fail "LIBTORCH=$LIBTORCH cannot be used: $WHY_NOT." \
            "It must be a folder with include/ and lib/, as in a libtorch archive or the 'torch' folder of a Python installation." \
            "Unset LIBTORCH to have CollaFuse find or fetch one."
        LIBTORCH_ROOT=$(cd "$LIBTORCH" && pwd)
        return
    fi
    for candidate in "$(wired_libtorch)" "$ROOT/.libtorch"; do
        if [ -n "$candidate" ] && is_libtorch "$candidate"; then LIBTORCH_ROOT=$candidate; return; fi
    done
    if candidate=$(python_torch); then
        if is_libtorch "$candidate"; then
            say "using the libtorch of the installed Python torch: $candidate"
            LIBTORCH_ROOT=$candidate
            return
        fi
        say "not using the installed Python torch ($candidate): $WHY_NOT"
    fi
    fetch_libtorch
    LIBTORCH_ROOT=$ROOT/.libtorch
}

# The pinned wheel into .libtorch/: checked, unpacked beside its place, renamed into it.
fetch_libtorch() {
    local work wheel wanted actual
    [ -n "${COLLAFUSE_SKIP_APT:-}" ] || install_packages "${FETCH_PACKAGES[@]}"
    python3 -m pip --version >/dev/null 2>&1 || fail "python3 has no pip, which fetches libtorch." \
        "Install it (Debian: sudo apt-get install --no-install-recommends -y python3-pip)," \
        "or set LIBTORCH to a libtorch $WANTED_LIBTORCH or newer."
    work=$(mktemp -d "$ROOT/.libtorch.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    say "fetching libtorch (torch==$PINNED_TORCH, about 190 MB) into .libtorch/"
    download_wheel "$work" || download_wheel "$work" --index-url "$TORCH_INDEX" || {
        tail -n 3 "$work/pip.log" >&2
        fail "libtorch could not be fetched." \
            "It was looked for where pip is set to look and at $TORCH_INDEX: check the network (or the proxy in https_proxy)," \
            "or set LIBTORCH to a libtorch $WANTED_LIBTORCH or newer that is already on this machine."
    }
    wheel=$(find "$work" -name 'torch-*.whl')
    wanted=PINNED_SHA256_$(uname -m)
    if [ -n "${!wanted:-}" ]; then
        actual=$(sha256sum "$wheel" | cut -d ' ' -f 1)
        [ "$actual" = "${!wanted}" ] || fail "the fetched $(basename "$wheel") is not the pinned one." \
            "wanted sha256 ${!wanted}" "got    sha256 $actual"
    fi
    say "unpacking libtorch"
    python3 "$ROOT/ops/lib/unpack_libtorch.py" "$wheel" "$work/libtorch" || fail "libtorch could not be unpacked into $work."
    is_libtorch "$work/libtorch" || fail "the fetched libtorch cannot be used: $WHY_NOT."
    rm -rf "$ROOT/.libtorch"
    mv "$work/libtorch" "$ROOT/.libtorch"
    rm -rf "$work"
    trap - EXIT
}

# download_wheel FOLDER [PIP OPTION...]
download_wheel() {
    local folder=$1
    shift
    python3 -m pip download "$@" --quiet --disable-pip-version-check --retries 2 --timeout 60 --no-deps --only-binary :all: \
        --python-version 311 --implementation cp --platform "$PINNED_PLATFORM" --dest "$folder" "torch==$PINNED_TORCH" \
        >>"$folder/pip.log" 2>&1
}
