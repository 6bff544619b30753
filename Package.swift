// swift-tools-version:6.1
import PackageDescription

// One root package: shared libraries in Sources/, the node's targets in edge/, the hub's in hub/.
// `edge` and `hub` never import each other; Tests/HouseRulesTests holds the import table.

let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

/// Data-plane modules are small and hot: without optimisation across modules a packet crosses four of them.
func library(_ name: String, in folder: String = "Sources", _ dependencies: [Target.Dependency], resources: [Resource] = []) -> Target {
    .target(name: name, dependencies: dependencies, path: "\(folder)/\(name)", resources: resources, swiftSettings: strict)
}

func tool(_ name: String, in folder: String, _ dependencies: [Target.Dependency]) -> Target {
    .executableTarget(name: name, dependencies: dependencies, path: "\(folder)/\(name)", swiftSettings: strict)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], resources: [Resource] = []) -> Target {
    .testTarget(name: name, dependencies: dependencies, path: "Tests/\(name)", resources: resources, swiftSettings: strict)
}

let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")
let x509: Target.Dependency = .product(name: "X509", package: "swift-certificates")
let system: Target.Dependency = .product(name: "SystemPackage", package: "swift-system")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let metrics: Target.Dependency = .product(name: "Metrics", package: "swift-metrics")
let coreMetrics: Target.Dependency = .product(name: "CoreMetrics", package: "swift-metrics")
let lifecycle: Target.Dependency = .product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let unixSignals: Target.Dependency = .product(name: "UnixSignals", package: "swift-service-lifecycle")
let grdb: Target.Dependency = .product(name: "GRDB", package: "GRDB.swift")
let nioCore: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let nioHTTP1: Target.Dependency = .product(name: "NIOHTTP1", package: "swift-nio")
let nioTLS: Target.Dependency = .product(name: "NIOTLS", package: "swift-nio")
let nioSSL: Target.Dependency = .product(name: "NIOSSL", package: "swift-nio-ssl")
let hummingbird: Target.Dependency = .product(name: "Hummingbird", package: "hummingbird")
let hummingbirdTLS: Target.Dependency = .product(name: "HummingbirdTLS", package: "hummingbird")
let mustache: Target.Dependency = .product(name: "Mustache", package: "swift-mustache")
let argumentParser: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")
let asyncHTTPClient: Target.Dependency = .product(name: "AsyncHTTPClient", package: "async-http-client")
let cryptoExtras: Target.Dependency = .product(name: "CryptoExtras", package: "swift-crypto")
let swiftASN1: Target.Dependency = .product(name: "SwiftASN1", package: "swift-asn1")

let package = Package(
    name: "fieldpost",
    products: [
        .executable(name: "fieldpost-edge", targets: ["fieldpost-edge"]),
        .executable(name: "fieldpost-hub", targets: ["fieldpost-hub"]),
        .executable(name: "fieldpost", targets: ["fieldpost"]),
        .library(name: "FaultInjector", type: .dynamic, targets: ["FaultInjector"]),  // preloaded by FaultTests
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl.git", from: "2.37.0"),
        .package(url: "https://github.com/apple/swift-crypto.git", from: "4.5.0"),
        .package(url: "https://github.com/apple/swift-certificates.git", from: "1.21.0"),
        .package(url: "https://github.com/apple/swift-asn1.git", from: "1.7.0"),
        .package(url: "https://github.com/apple/swift-system.git", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log.git", from: "1.16.0"),
        .package(url: "https://github.com/apple/swift-http-types.git", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-metrics.git", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-argument-parser.git", from: "1.8.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle.git", from: "2.13.0"),
        .package(url: "https://github.com/swift-server/async-http-client.git", from: "1.37.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird.git", from: "2.28.0"),
        .package(url: "https://github.com/hummingbird-project/swift-mustache.git", from: "2.1.0"),
        .package(url: "https://github.com/groue/GRDB.swift.git", from: "7.10.0"),
        .package(url: "https://github.com/jpsim/Yams.git", from: "6.2.0"),
    ],
    targets: [
        // System libraries, from Debian.
        .systemLibrary(name: "CLibAV", path: "Sources/CLibAV", pkgConfig: "libavformat", providers: [.apt(["libavformat-dev", "libavcodec-dev", "libswscale-dev"])]),
        .systemLibrary(name: "CZstd", path: "Sources/CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
        .systemLibrary(name: "CXML2", path: "Sources/CXML2", pkgConfig: "libxml-2.0", providers: [.apt(["libxml2-dev"])]),
        .systemLibrary(name: "CCRC32C", path: "Sources/CCRC32C"),  // the processor's CRC-32C, for which Swift has no word
        .systemLibrary(name: "CSyncFS", path: "Sources/CSyncFS"),  // syncfs(2): the Glibc module leaves it out
        .systemLibrary(name: "CConfine", path: "Sources/CConfine"),  // clone, seccomp, Landlock: the Glibc module leaves them out
        .systemLibrary(name: "CTimex", path: "Sources/CTimex"),  // adjtimex(2): the Glibc module leaves it out

        // Shared libraries.
        library("LibAV", ["CLibAV"]),
        library("Zstd", ["CZstd"]),
        library("RecordingModel", []),
        library("EvidenceLog", ["RecordingModel", crypto]),
        library("SyncProtocol", ["CCRC32C", "RecordingModel", "EvidenceLog", "Zstd"], resources: [.embedInCode("Dictionaries")]),
        library("NodeIdentity", ["RecordingModel", crypto, x509, swiftASN1]),
        library("StorageIO", ["CSyncFS", system]),
        library("ServiceSupport", ["RecordingModel", "CTimex", logging, metrics, coreMetrics, lifecycle, "Yams"]),

        // The node.
        library("EdgePower", in: "edge", ["StorageIO", "RecordingModel", nioCore, nioPosix, logging, system]),
        library("EdgeMotion", in: "edge", ["LibAV", "RecordingModel"]),
        library("EdgeCapture", in: "edge", ["EdgeMotion", "LibAV", "StorageIO", "EvidenceLog", "RecordingModel", crypto, logging, system]),
        library("EdgeJournal", in: "edge", ["StorageIO", "EvidenceLog", "RecordingModel", grdb, crypto, logging, system]),
        library("EdgeCompress", in: "edge", ["CConfine", "EdgeCapture", "LibAV", "StorageIO", "EvidenceLog", "RecordingModel", crypto, logging, system]),
        library("EdgeImport", in: "edge", ["EdgeCapture", "LibAV", "StorageIO", "EvidenceLog", "RecordingModel", crypto, logging, system]),
        library("EdgeONVIF", in: "edge", ["CXML2", "RecordingModel", asyncHTTPClient, nioCore, nioPosix, nioHTTP1, crypto, logging]),
        library("EdgeEvents", in: "edge", ["EdgeONVIF", "EdgeMotion", "RecordingModel", nioCore, nioPosix, nioHTTP1, crypto, logging]),
        library("EdgeSync", in: "edge", ["SyncProtocol", "EvidenceLog", "NodeIdentity", "RecordingModel", nioCore, nioPosix, nioHTTP1, nioSSL, crypto, logging]),
        library("EdgeCourier", in: "edge", ["StorageIO", "SyncProtocol", "EvidenceLog", "RecordingModel", system]),
        tool("fieldpost-edge", in: "edge", [
            "EdgeCapture", "EdgeCompress", "EdgeJournal", "EdgeSync", "EdgeCourier", "EdgePower", "EdgeMotion", "EdgeEvents", "EdgeONVIF", "EdgeImport", "LibAV", "ServiceSupport", "StorageIO",
            "NodeIdentity", "EvidenceLog", "SyncProtocol", "RecordingModel", argumentParser, crypto, logging, metrics, lifecycle, unixSignals, system,
        ]),

        // The hub.
        library("HubStore", in: "hub", ["StorageIO", "SyncProtocol", "EvidenceLog", "RecordingModel", grdb, crypto, cryptoExtras, logging, system]),
        library("HubIngest", in: "hub", [
            .product(name: "HTTPTypes", package: "swift-http-types"), "StorageIO",
            "HubStore", "SyncProtocol", "EvidenceLog", "NodeIdentity", "RecordingModel", hummingbird, .product(name: "HummingbirdCore", package: "hummingbird"),
            hummingbirdTLS, nioCore, nioPosix, nioHTTP1, nioSSL, logging, metrics, system,
        ]),
        library("HubReview", in: "hub", [
            .product(name: "HTTPTypes", package: "swift-http-types"), .product(name: "HummingbirdCore", package: "hummingbird"), "HubStore", "StorageIO", "RecordingModel", "EvidenceLog", hummingbird, hummingbirdTLS, mustache, nioCore, nioPosix, nioSSL, crypto, logging, metrics,
        ], resources: [.embedInCode("Resources")]),
        tool("fieldpost-hub", in: "hub", [
            "HubStore", "HubIngest", "HubReview", "ServiceSupport", "StorageIO", "NodeIdentity", "EvidenceLog", "RecordingModel", "SyncProtocol",
            argumentParser, logging, metrics, lifecycle, unixSignals, system, hummingbird, nioCore, nioPosix,
        ]),
        tool("fieldpost", in: "hub", ["SyncProtocol", "EvidenceLog", "RecordingModel", asyncHTTPClient, argumentParser, nioCore, nioPosix, nioSSL, nioHTTP1, crypto, system]),
        library("TestSupport", in: "Tests", []),
        .target(name: "FaultInjector", path: "Tests/FaultInjector", publicHeadersPath: "."),
        library("LogFixtures", in: "Tests", ["EvidenceLog", "RecordingModel", crypto]),
        // Simulated nodes for deploy/bench ingest.
        tool("IngestLoad", in: "Tests", [
            "HubStore", "SyncProtocol", "LogFixtures", "NodeIdentity", "EvidenceLog", "RecordingModel", "StorageIO", crypto, nioCore, nioPosix, nioSSL, nioTLS, logging, system,
        ]),
        // A node with a long log for deploy/bench reconcile.
        tool("ReconcileNode", in: "Tests", [
            "EdgeSync", "HubStore", "SyncProtocol", "LogFixtures", "NodeIdentity", "EvidenceLog", "RecordingModel", "StorageIO", grdb, crypto, logging, system,
        ]),
        // Stands in the place of the worker that decodes, and tries what it must not be able to do.
        tool("ConfinementProbe", in: "Tests", ["EdgeCompress", "CConfine"]),
        library("SyncConformance", in: "Tests", ["SyncProtocol", "EvidenceLog", "RecordingModel"]),
        library("JournalFixtures", in: "Tests", ["EvidenceLog", "RecordingModel", "StorageIO", "LogFixtures", system]),
        tests("RecordingModelTests", ["RecordingModel", "LogFixtures"]),
        tests("NodeIdentityTests", ["NodeIdentity", "RecordingModel"]),
        tests("SyncTests", [
            "EdgeSync", "EdgeCourier", "HubIngest", "HubStore", "SyncProtocol", "EvidenceLog", "NodeIdentity", "RecordingModel", "StorageIO", "LogFixtures", "TestSupport",
            "SyncConformance", grdb, crypto, lifecycle, logging, system, nioCore, nioPosix, nioSSL, nioHTTP1,
        ]),
        tests("SyncProtocolTests", ["SyncConformance", "SyncProtocol", "EvidenceLog", "RecordingModel", "LogFixtures", crypto]),
        tests("SyncSimulationTests", [
            "EdgeJournal", "EdgeSync", "HubIngest", "HubStore", "SyncProtocol", "EvidenceLog", "RecordingModel", "StorageIO", "JournalFixtures", "LogFixtures",
            grdb, crypto, logging, system, nioCore,
        ]),
        tests("EdgePowerTests", ["EdgePower", "StorageIO", "RecordingModel", "TestSupport", nioCore, nioPosix, logging, system]),
        tests("HouseRulesTests", ["TestSupport"]),
        tests("HubReviewTests", [
            "HubReview", "HubStore", "StorageIO", "EvidenceLog", "RecordingModel", hummingbird, .product(name: "HummingbirdTesting", package: "hummingbird"),
            .product(name: "HTTPTypes", package: "swift-http-types"), grdb, crypto, nioCore, logging,
        ]),
        tests("HubStoreTests", [
            "HubStore", "HubIngest", "StorageIO", "SyncProtocol", "EvidenceLog", "RecordingModel", "LogFixtures", "TestSupport", grdb, crypto, nioCore, logging, system,
        ]),
        tests("FieldpostToolTests", ["fieldpost", "EvidenceLog", "RecordingModel", "TestSupport", crypto, nioCore]),
        tests("EvidenceLogTests", ["EvidenceLog", "RecordingModel", "LogFixtures", crypto]),
        tests("EdgeJournalTests", ["JournalFixtures", "EdgeJournal", "EvidenceLog", "RecordingModel", "StorageIO", crypto, logging, system]),
        tests("EdgeMotionTests", ["EdgeMotion", "LibAV", "RecordingModel", "TestSupport"]),
        tests("EdgeONVIFTests", ["EdgeONVIF", "RecordingModel", "TestSupport", nioCore, nioPosix, logging]),
        tests("EdgeEventsTests", ["EdgeEvents", "EdgeMotion", "EdgeONVIF", "RecordingModel", "TestSupport", nioCore, nioPosix, nioHTTP1, logging]),
        tests("EdgeImportTests", [
            "EdgeImport", "EdgeCapture", "EdgeJournal", "LibAV", "StorageIO", "EvidenceLog", "RecordingModel", "TestSupport", crypto, logging, system,
        ]),
        tests("EdgeCompressTests", [
            "ConfinementProbe", "fieldpost-edge", "TestSupport", "EdgeCompress", "EdgeCapture", "LibAV", "StorageIO", "EvidenceLog", "RecordingModel", crypto, logging, system,
        ]),
        tests("FaultTests", ["TestSupport", "JournalFixtures", "LogFixtures", "EdgeJournal", "EvidenceLog", "StorageIO", "RecordingModel", crypto, logging, system]),
        tests("EndToEndTests", ["TestSupport", "EdgeJournal", "EvidenceLog", "NodeIdentity", "RecordingModel", "StorageIO", logging, system]),
        tests("LibAVTests", ["LibAV"]),
        tests("EdgeCaptureTests", ["TestSupport", "EdgeCapture", "EdgeMotion", "LibAV", "StorageIO", "EvidenceLog", "RecordingModel", crypto, logging, system]),
        tests("ZstdTests", ["Zstd", "CZstd"]),
        tests("ServiceSupportTests", ["ServiceSupport", "RecordingModel", logging, coreMetrics]),
        tests("EdgeConfigurationTests", [
            "fieldpost-edge", "EdgeCapture", "EdgeCompress", "EdgeJournal", "EdgeMotion", "EdgePower", "EdgeSync", "SyncProtocol", "ServiceSupport", "StorageIO", "RecordingModel", "TestSupport", lifecycle, logging, system,
        ]),
    ]
)
