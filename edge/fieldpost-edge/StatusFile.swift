import EdgeSync
import FoundationEssentials
import Glibc
import RecordingModel
import StorageIO
import SystemPackage

/// What a running recorder tells `fieldpost-edge status`, in `status.json`.
struct RunningStatus: Codable, Hashable, Sendable {
    var writtenUnixMilliseconds: Int64
    /// Who wrote it, and when by the clock that nothing sets: a file outlives its writer, and often its boot.
    var bootID: String
    var bootMilliseconds: Int64
    var processID: Int32
    /// Why nothing is recorded, or what is wrong with the disk; nil while all is well.
    var problem: String?
    var cameras: [CameraHealth]
    var sync: SyncProgress?
    var report: SyncReport?
    /// Events from outside that came faster than a camera's thread could take them; nil where nobody can raise any.
    var eventsDropped: UInt64?
    /// Nil for a node that does not live on a battery.
    var power: PowerReport?
    /// Encoders that were tried for proxies, by FFmpeg's name: `works`, or why not; nil where nothing is made small.
    var encoders: [String: String]?
    /// What proxies are aimed at and why, one line; nil where their rate is fixed.
    var proxyRate: String?
    /// The cameras' own small streams, as `cameras` has the main ones; nil where none is configured.
    var subStreams: [CameraHealth]?
    /// Prometheus text.
    var metrics: String

    init(
        _ clocks: any Clocks, problem: String?, cameras: [CameraHealth] = [], sync: SyncProgress? = nil, report: SyncReport? = nil, eventsDropped: UInt64? = nil, power: PowerReport? = nil, encoders: [String: String]? = nil, proxyRate: String? = nil, subStreams: [CameraHealth] = [], metrics: String
    ) {
        let now = clocks.now()
        writtenUnixMilliseconds = now.wall.unixMilliseconds
        bootID = clocks.bootID
        bootMilliseconds = now.bootMilliseconds
        processID = getpid()
        self.proxyRate = proxyRate
        self.subStreams = subStreams.isEmpty ? nil : subStreams
        (self.problem, self.cameras, self.sync, self.report, self.eventsDropped, self.power, self.encoders, self.metrics) = (problem, cameras, sync, report, eventsDropped, power, encoders, metrics)
    }

    /// Whether its writer still runs, as far as a process id tells.
    func isOfRunningProcess(bootID present: String) -> Bool {
        guard bootID == present, processID > 0 else { return false }
        return kill(processID, 0) == 0 || errno == EPERM
    }
}

/// Where a recorder leaves its figures: in memory under `/run` where that may be written, because the node's disk may be
/// what the figures are about; else in the data directory. Replaced by rename and not synced: after a power cut it means
/// nothing.
struct StatusFile: Sendable {
    private static let byteLimit = 4 << 20
    private let folder: NodeFolder
    private let storage = RealStorage()
    private let runtimeFolders: [FilePath]

    /// - Parameter runtimeFolders: the service's runtime directory first (`RuntimeDirectory=` in its unit), then a user's own.
    init(_ folder: NodeFolder, runtimeFolders: [String] = ["/run/fieldpost", "/run/user/\(getuid())/fieldpost"]) {
        self.folder = folder
        self.runtimeFolders = runtimeFolders.map { FilePath($0) }
    }

    private var inDataDirectory: FilePath { folder.root.appending("status.json") }

    /// Data directories of one machine are told apart by their paths.
    private var runtimeName: String { folder.root.string.split(separator: "/").joined(separator: "-") + ".json" }

    func write(_ status: RunningStatus) {
        guard let text = try? json(status) else { return }
        for place in runtimeFolders where (try? storage.makeDirectory(place)) != nil {
            if write(text, to: place.appending(runtimeName), storage) { return }
        }
        _ = write(text, to: inDataDirectory, folder.storage)
    }

    private func write(_ text: String, to path: FilePath, _ storage: RealStorage) -> Bool {
        let temporary = FilePath(path.string + ".new")
        try? storage.remove(temporary)
        guard let file = try? storage.openForAppending(temporary), (try? file.append(Array(text.utf8))) != nil else { return false }
        try? file.close()
        return (try? storage.rename(temporary, to: path)) != nil
    }

    /// The newest that a recorder of this data directory has left; nil when there is none. Of another boot only where this
    /// one has left nothing: the wall clock does not tell which of two boots was later.
    func newest(bootID: String) -> RunningStatus? {
        let found = (runtimeFolders.map { $0.appending(runtimeName) } + [inDataDirectory]).compactMap { path -> RunningStatus? in
            guard (try? storage.size(path)) ?? nil != nil, let bytes = try? storage.read(path, limitBytes: Self.byteLimit) else { return nil }
            return try? JSONDecoder().decode(RunningStatus.self, from: Data(bytes))
        }
        return found.filter { $0.bootID == bootID }.max { $0.bootMilliseconds < $1.bootMilliseconds } ?? found.first
    }
}
