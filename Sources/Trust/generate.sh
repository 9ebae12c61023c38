#!/usr/bin/env bash
# Makes Generated/*.pb.swift from Protos/*.proto. Needs protoc (Debian: protobuf-compiler) and protoc-gen-swift of the
# swift-protobuf version that Package.swift names: `swift build --product protoc-gen-swift` in a checkout of it.
# PROTOC_GEN_SWIFT names the plugin when it is not on the PATH.
set -euo pipefail
cd "$(dirname "$0")"
protoc --proto_path=Protos --plugin="protoc-gen-swift=${PROTOC_GEN_SWIFT:-$(command -v protoc-gen-swift)}" \
    --swift_opt=Visibility=Package --swift_opt=UseAccessLevelOnImports=true --swift_out=Generated Protos/*.proto
