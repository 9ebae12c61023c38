// swift-tools-version: 6.2
// The house of floors: a target may import only what stands above it in this file. See docs/design.md.
import PackageDescription

let strict: [SwiftSetting] =
    [
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .enableUpcomingFeature("MemberImportVisibility"),
    ] + (Context.environment["COLLAFUSE_STRICT"] == nil ? [] : [.treatAllWarnings(as: .error)])

let protobuf: Target.Dependency = .product(name: "SwiftProtobuf", package: "swift-protobuf")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let lifecycle: Target.Dependency = .product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let signals: Target.Dependency = .product(name: "UnixSignals", package: "swift-service-lifecycle")
let arguments: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")
let collections: Target.Dependency = .product(name: "DequeModule", package: "swift-collections")
let heap: Target.Dependency = .product(name: "HeapModule", package: "swift-collections")
let histogram: Target.Dependency = .product(name: "Histogram", package: "hdrhistogram-swift")
let grdb: Target.Dependency = .product(name: "GRDB", package: "GRDB.swift")
let flyingFox: Target.Dependency = .product(name: "FlyingFox", package: "FlyingFox")
let flyingSocks: Target.Dependency = .product(name: "FlyingSocks", package: "FlyingFox")
let yams: Target.Dependency = .product(name: "Yams", package: "Yams")

func room(_ name: String, _ dependencies: [Target.Dependency] = [], path: String? = nil) -> Target {
    .target(
        name: name, dependencies: dependencies, path: path ?? "Sources/\(name)", exclude: ["README.md"],
        swiftSettings: strict)
}

/// Goldens and fixtures are read from their place in the tree, so no test target copies them.
func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: "\(name)Tests", dependencies: dependencies, exclude: ["README.md"], swiftSettings: strict)
}

let floor1: [Target] = [
    .systemLibrary(name: "CLibTorch", pkgConfig: "collafuse-libtorch"),
    // No pkg-config: libzmq.pc has flags that SwiftPM warns of, and none is needed on Debian.
    .systemLibrary(name: "CZeroMQ"),
    .systemLibrary(name: "CSodium", pkgConfig: "libsodium", providers: [.apt(["libsodium-dev"])]),
    .systemLibrary(name: "CPNG", pkgConfig: "libpng", providers: [.apt(["libpng-dev"])]),
    .systemLibrary(name: "CJPEG", pkgConfig: "libjpeg", providers: [.apt(["libjpeg-dev"])]),
    .target(name: "CTorch", dependencies: ["CLibTorch"], exclude: ["README.md", "cuda"]),
    .target(name: "CDisk", exclude: ["README.md"]),
    room("Disk", ["CDisk"]),
    room("Safetensors"),
    room("Torch", ["CTorch", "Safetensors"]),
    room("ZeroMQ", ["CZeroMQ"]),
    room("Sodium", ["CSodium"]),
    .target(name: "CImages", dependencies: ["CJPEG"], exclude: ["README.md"]),
    room("Images", ["CPNG", "CImages", "Safetensors"]),
    room("Topology", [yams]),
    room("Observability", [logging]),
    room("Monitoring", ["Observability", flyingFox, flyingSocks, logging, lifecycle]),
    room("CommandOptions", ["Disk", "Observability", "Monitoring", arguments, logging, lifecycle]),
    .target(name: "CProcess", exclude: ["README.md"]),
]

let floor2: [Target] = [
    room("Chain"),
    .target(
        name: "Wire", dependencies: ["Chain", protobuf], exclude: ["README.md", "Protos", "generate.sh"],
        swiftSettings: strict),
    .target(
        name: "Trust", dependencies: ["Wire", "Sodium", "Disk", "Chain", protobuf],
        exclude: ["README.md", "Protos", "generate.sh"], swiftSettings: strict),
    room("Sealing", ["Wire", "Trust", "Sodium"]),
    room("Diffusion", ["Chain", "Disk", "Torch", "Safetensors"]),
]

let floor3: [Target] = [
    room("Exchange", ["Wire", collections]),
    room("Journal", ["Exchange", "Wire", "Disk", grdb]),
    room("Simulation", ["Exchange", "Wire"]),
    room("Fabric", ["Exchange", "Trust", "Sodium", "Wire", "ZeroMQ", collections, logging]),
]

let floor4: [Target] = [
    room(
        "Broker",
        [
            "Exchange", "Fabric", "Journal", "Sodium", "Trust", "Wire", "ZeroMQ", "Observability", "Monitoring",
            logging, lifecycle,
        ]),
    room(
        "Workbench",
        [
            "Exchange", "Fabric", "Sealing", "Trust", "Wire", "Chain", "Safetensors", "Sodium", "ZeroMQ",
            "Observability", "Monitoring", logging, lifecycle,
        ]),
    room(
        "Worker",
        [
            "Workbench", "Exchange", "Sealing", "Trust", "Wire", "Chain", "Diffusion", "Torch", "Safetensors", "Sodium",
            "Disk", "Observability", "Monitoring", logging, lifecycle,
        ]),
    room(
        "CollaFuseClient",
        [
            "Exchange", "Fabric", "Sealing", "Trust", "Wire", "Chain", "Diffusion", "Torch", "Safetensors", "Sodium",
            "Images", "Disk", "ZeroMQ", logging,
        ],
        path: "Sources/Client"),
    room(
        "LoadTest",
        [
            "Workbench", "Exchange", "Fabric", "Sealing", "Trust", "Wire", "Chain", "Safetensors", "Sodium", "Topology",
            "Observability", "ZeroMQ", "CProcess", collections, heap, histogram,
        ]),
    room(
        "BrokerBench",
        [
            "LoadTest", "Launch", "Journal", "Exchange", "Fabric", "Trust", "Wire", "Chain", "Observability", "Sodium",
            "ZeroMQ",
            collections,
        ]),
    room("Launch", ["CProcess", "Disk", "Topology", "Trust", "Wire", "Chain", "Sodium"]),
    room(
        "Evaluation",
        [
            "CollaFuseClient", "Chain", "Diffusion", "Disk", "Launch", "Observability", "Trust", "Torch", "Safetensors",
            "Images",
        ]),
    room(
        "Bench",
        [
            "Worker", "CollaFuseClient", "Launch", "Observability", "Chain", "Diffusion", "Torch", "Trust", "Wire",
            "Sodium", logging,
        ]),
]

let floor5: [Target] = [
    .executableTarget(
        name: "collafuse",
        dependencies: [
            "Broker", "Workbench", "LoadTest", "BrokerBench", "CommandOptions", "Disk", "Journal", "Monitoring",
            "Launch",
            "Exchange",
            "Simulation",
            "Topology", "Trust",
            "Observability", "Wire",
            "Chain", "CProcess", arguments, logging, lifecycle, signals,
        ],
        exclude: ["README.md"], swiftSettings: strict),
    .executableTarget(
        name: "collafuse-compute",
        dependencies: [
            "Worker", "CollaFuseClient", "Monitoring", "CommandOptions", "Evaluation", "Bench", "Launch", "Diffusion",
            "Images",
            "Trust",
            "Observability", "Wire", "Chain",
            "Torch",
            "Safetensors", arguments, logging, lifecycle, signals,
        ],
        exclude: ["README.md"], swiftSettings: strict),
]

let testTargets: [Target] = [
    tests("Disk", ["Disk"]),
    tests("Safetensors", ["Safetensors"]),
    tests("Torch", ["Torch", "Safetensors"]),
    tests("Monitoring", ["Monitoring", "Observability", logging, lifecycle]),
    tests("Observability", ["Observability", logging]),
    tests("ZeroMQ", ["ZeroMQ", "CZeroMQ", "Sodium"]),
    tests("Sodium", ["Sodium"]),
    tests("Images", ["Images", "Safetensors"]),
    tests("Topology", ["Topology"]),
    tests("Chain", ["Chain"]),
    tests("Wire", ["Wire", "Chain", protobuf]),
    tests("Trust", ["Trust", "Wire", "Sodium", "Chain"]),
    tests("Sealing", ["Sealing", "Trust", "Wire", "Sodium", protobuf]),
    tests("Diffusion", ["Diffusion", "Chain", "Torch", "Safetensors"]),
    tests("Exchange", ["Exchange", "Wire"]),
    tests("Journal", ["Journal", "Exchange", "Wire", grdb]),
    tests("Simulation", ["Simulation", "Exchange", "Wire"]),
    tests("Fabric", ["Fabric", "Exchange", "Wire", "ZeroMQ", "Sodium", logging]),
    tests(
        "Broker",
        [
            "Broker", "Chain", "Exchange", "Fabric", "Journal", "Monitoring", "Trust", "Wire", "Sodium", "ZeroMQ",
            logging,
            lifecycle,
        ]),
    tests(
        "LoadTest",
        [
            "LoadTest", "Workbench", "Broker", "Exchange", "Fabric", "Sealing", "Trust", "Wire", "Chain", "Topology",
            logging,
            lifecycle,
        ]),
    tests(
        "Worker",
        [
            "Worker", "Workbench", "Exchange", "Sealing", "Trust", "Wire", "Chain", "Diffusion", "Torch", "Safetensors",
            "Sodium", "Observability", protobuf, logging,
        ]),
    tests(
        "Client",
        [
            "CollaFuseClient", "Broker", "Worker", "Workbench", "Exchange", "Fabric", "Sealing", "Trust", "Wire",
            "Chain",
            "Diffusion",
            "Torch", "Safetensors", "Sodium", "Images", "Observability", logging,
        ]),
    tests("Evaluation", ["Evaluation", "Torch", "Safetensors", "Images"]),
    tests("Launch", ["Launch", "Topology", "Trust", "Wire", "Chain", "Diffusion"]),
    tests("Bench", ["Bench", "Torch"]),
    tests("BrokerBench", ["BrokerBench", "Wire"]),
    tests(
        "Command",
        ["Exchange", "Journal", "Safetensors", "Images", "Launch", "Topology", "Trust", "Worker", "Workbench", "Wire"]),
]

/// `make fuzz` builds with libFuzzer's instrumentation, which nothing else has.
let fuzzTargets: [Target] =
    Context.environment["COLLAFUSE_FUZZ"] == nil
    ? []
    : [
        .target(name: "CFuzzer", path: "Tests/Fuzz/CFuzzer"),
        .executableTarget(
            name: "collafuse-fuzz",
            dependencies: [
                "CFuzzer", "Chain", "Exchange", "Safetensors", "Sealing", "Sodium", "Topology", "Trust",
                "Wire", "ZeroMQ",
            ],
            path: "Tests/Fuzz", exclude: ["README.md", "CFuzzer", "Corpus"], swiftSettings: strict),
    ]

let package = Package(
    name: "collafuse",
    platforms: [.macOS(.v15)],
    products: [
        .library(name: "CollaFuseClient", targets: ["CollaFuseClient"]),
        .executable(name: "collafuse", targets: ["collafuse"]),
        .executable(name: "collafuse-compute", targets: ["collafuse-compute"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/swhitty/FlyingFox", from: "0.27.1"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: floor1 + floor2 + floor3 + floor4 + floor5 + testTargets + fuzzTargets,
    swiftLanguageModes: [.v6],
    cxxLanguageStandard: .cxx20
)
