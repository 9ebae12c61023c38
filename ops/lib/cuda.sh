# libcollafuse_cuda.so, which records CUDA graphs: built where libtorch is one for CUDA and CUDA's headers are there.
#
# Those lie with pip's CUDA packages beside torch, or in a toolkit: CUDA_HOME, else /usr/local/cuda. Without them everything runs but graphs.

cuda_headers() {
    local file
    for file in "$LIBTORCH_ROOT"/../nvidia/*/include/cuda_runtime_api.h "${CUDA_HOME:-/usr/local/cuda}/include/cuda_runtime_api.h"; do
        [ ! -f "$file" ] || { dirname "$file"; return; }
    done
}

cuda_compiler() {
    local beside
    beside=$(dirname "$(readlink -f "$(command -v swift)")")/clang++
    if [ -x "$beside" ]; then echo "$beside"; else command -v clang++ || command -v g++; fi
}

# build_cuda_shim FOLDER: makes FOLDER/libcollafuse_cuda.so, or takes an old one away. Left alone where it is as new as what it is made of.
build_cuda_shim() {
    local shim=$1/libcollafuse_cuda.so source=$ROOT/Sources/CTorch/cuda/graph.cpp headers compiler made_for="$1/libcollafuse_cuda.for" log
    is_for_cuda "$LIBTORCH_ROOT" || { rm -f "$shim" "$made_for"; return 0; }
    [ ! "$shim" -nt "$source" ] || [ ! "$shim" -nt "$ROOT/Sources/CTorch/graph.hpp" ] ||
        [ "$(cat "$made_for" 2>/dev/null)" != "$LIBTORCH_ROOT" ] || return 0
    rm -f "$shim" "$made_for"
    headers=$(cuda_headers)
    [ -n "$headers" ] || { say "no CUDA graphs: CUDA's headers are neither beside libtorch nor in ${CUDA_HOME:-/usr/local/cuda}"; return 0; }
    compiler=$(cuda_compiler) || { say "no CUDA graphs: there is no C++ compiler"; return 0; }
    say "building libcollafuse_cuda.so, for CUDA graphs"
    mkdir -p "$1"
    log=$(mktemp)
    if "$compiler" -std=c++20 -O2 -fPIC -shared -fvisibility=hidden -I "$LIBTORCH_ROOT/include" -isystem "$headers" "$source" -o "$shim" \
        -L "$LIBTORCH_ROOT/lib" -ltorch_cuda -lc10_cuda -ltorch_cpu -lc10 >"$log" 2>&1; then
        echo "$LIBTORCH_ROOT" >"$made_for"
    else
        tail -n 5 "$log" >&2
        say "no CUDA graphs: libcollafuse_cuda.so could not be built, see above"
        rm -f "$shim"
    fi
    rm -f "$log"
}
