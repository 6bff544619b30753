/// Who may import whom: design.md's table, in code. Change it there first.
struct Allowed {
    let folder: String
    let modules: Set<String>

    init(_ folder: String, _ modules: Set<String>) {
        self.folder = folder
        self.modules = modules
    }
}

/// What comes with the toolchain and the C library, and may be imported everywhere.
let systemModules: Set<String> = ["FoundationEssentials", "Synchronization", "Dispatch", "Glibc", "Musl"]

/// Foundation proper costs megabytes of memory and a second of start on a node: only these may import it, for this reason.
let mayImportFoundation: [String: String] = [:]

let importTable: [String: Allowed] = [
    // Shared libraries.
    "CLibAV": Allowed("Sources", []),
    "CZstd": Allowed("Sources", []),
    "CCRC32C": Allowed("Sources", []),
    "CSyncFS": Allowed("Sources", []),
    "CTimex": Allowed("Sources", []),
    "CConfine": Allowed("Sources", []),
    "CXML2": Allowed("Sources", []),
    "LibAV": Allowed("Sources", ["CLibAV"]),
    "Zstd": Allowed("Sources", ["CZstd"]),
    "RecordingModel": Allowed("Sources", []),
    "EvidenceLog": Allowed("Sources", ["RecordingModel", "Crypto"]),
    "SyncProtocol": Allowed("Sources", ["CCRC32C", "RecordingModel", "EvidenceLog", "Zstd"]),
    "NodeIdentity": Allowed("Sources", ["RecordingModel", "Crypto", "X509", "SwiftASN1"]),
    "StorageIO": Allowed("Sources", ["CSyncFS", "SystemPackage"]),
    "ServiceSupport": Allowed("Sources", ["RecordingModel", "CTimex", "Logging", "Metrics", "CoreMetrics", "ServiceLifecycle", "Yams"]),

    // The node.
    "EdgePower": Allowed("edge", ["StorageIO", "RecordingModel", "NIOCore", "NIOPosix", "Logging", "SystemPackage"]),
    "EdgeMotion": Allowed("edge", ["LibAV", "RecordingModel"]),
    "EdgeCompress": Allowed(
        "edge", ["CConfine", "EdgeCapture", "LibAV", "StorageIO", "EvidenceLog", "RecordingModel", "Crypto", "Logging", "SystemPackage"]),
    "EdgeImport": Allowed(
        "edge", ["EdgeCapture", "LibAV", "StorageIO", "EvidenceLog", "RecordingModel", "Crypto", "Logging", "SystemPackage"]),
    "EdgeONVIF": Allowed("edge", ["CXML2", "RecordingModel", "AsyncHTTPClient", "NIOCore", "NIOPosix", "NIOHTTP1", "Crypto", "Logging"]),
    "EdgeEvents": Allowed("edge", ["EdgeONVIF", "EdgeMotion", "RecordingModel", "NIOCore", "NIOPosix", "NIOHTTP1", "Crypto", "Logging"]),
    "EdgeCapture": Allowed("edge", ["EdgeMotion", "LibAV", "StorageIO", "RecordingModel", "EvidenceLog", "Crypto", "Logging", "SystemPackage"]),
    "EdgeJournal": Allowed("edge", ["GRDB", "StorageIO", "EvidenceLog", "RecordingModel", "Crypto", "Logging", "SystemPackage"]),
    "EdgeSync": Allowed(
        "edge",
        [
            "SyncProtocol", "NodeIdentity", "EvidenceLog", "RecordingModel", "NIOCore", "NIOPosix", "NIOHTTP1", "NIOSSL", "Crypto", "Logging",
        ]),
    "EdgeCourier": Allowed("edge", ["StorageIO", "SyncProtocol", "EvidenceLog", "RecordingModel", "SystemPackage"]),
    "fieldpost-edge": Allowed(
        "edge",
        [
            "EdgeCapture", "EdgeCompress", "EdgeJournal", "EdgeSync", "EdgeCourier", "EdgePower", "EdgeMotion", "EdgeEvents", "EdgeONVIF", "EdgeImport", "LibAV", "ServiceSupport", "StorageIO", "NodeIdentity", "EvidenceLog", "SyncProtocol",
            "RecordingModel", "ArgumentParser", "Crypto", "Logging", "Metrics", "ServiceLifecycle", "UnixSignals", "SystemPackage", "Yams",
        ]),

    // The hub.
    "HubStore": Allowed(
        "hub",
        [
            "GRDB", "StorageIO", "SyncProtocol", "EvidenceLog", "RecordingModel", "Crypto", "CryptoExtras", "Logging", "SystemPackage",
        ]),
    "HubIngest": Allowed(
        "hub",
        [
            "HubStore", "StorageIO", "SyncProtocol", "EvidenceLog", "NodeIdentity", "RecordingModel", "Hummingbird", "HummingbirdCore",
            "HummingbirdTLS", "HTTPTypes", "NIOCore", "NIOPosix", "NIOHTTP1", "NIOSSL", "Logging", "Metrics", "SystemPackage",
        ]),
    "HubReview": Allowed(
        "hub",
        [
            "HubStore", "StorageIO", "EvidenceLog", "RecordingModel", "Hummingbird", "HummingbirdCore", "HummingbirdTLS", "HTTPTypes",
            "Mustache", "NIOCore", "NIOPosix", "NIOSSL", "Crypto", "Logging", "Metrics",
        ]),
    "fieldpost-hub": Allowed(
        "hub",
        [
            "HubStore", "HubIngest", "HubReview", "ServiceSupport", "StorageIO", "NodeIdentity", "EvidenceLog", "SyncProtocol",
            "RecordingModel", "ArgumentParser", "Logging", "Metrics", "ServiceLifecycle", "UnixSignals", "SystemPackage", "Hummingbird",
            "NIOCore", "NIOPosix", "NIOSSL", "Yams",
        ]),
    "fieldpost": Allowed(
        "hub",
        [
            "SyncProtocol", "EvidenceLog", "RecordingModel", "ServiceSupport", "NodeIdentity", "AsyncHTTPClient", "ArgumentParser", "NIOCore",
            "NIOPosix", "NIOHTTP1", "NIOSSL", "Crypto", "X509", "SystemPackage",
        ]),
]
