// swift-tools-version: 6.2
import PackageDescription

// A package of somebody else's that uses the client library. COLLAFUSE_URL: where it is cloned from.
let package = Package(
    name: "example",
    platforms: [.macOS(.v15)],
    dependencies: [
        .package(url: Context.environment["COLLAFUSE_URL"] ?? "../collafuse", from: "1.0.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    ],
    targets: [
        .executableTarget(
            name: "example",
            dependencies: [
                .product(name: "CollaFuseClient", package: "collafuse"),
                .product(name: "Logging", package: "swift-log"),
            ])
    ]
)
