import EdgeSync
import FoundationEssentials
import Glibc
import RecordingModel
import StorageIO
import SystemPackage

/// What a running recorder tells `fieldpost-edge status`, in `status.json`.
struct RunningStatus: Codable, Hashable, Sendable {
    var writtenUnixMilliseconds: Int64
    /// Why nothing is recorded, or what is wrong with the disk; nil while all is well.
    var problem: String?
    var cameras: [CameraHealth]
    var sync: SyncProgress?
    /// Prometheus text.
    var metrics: String
}

/// Where a recorder leaves its figures: in memory under `/run` where that may be written, because the node's disk may be
/// what the figures are about; else in the data directory. Replaced by rename and not synced: after a power cut it means
/// nothing.
struct StatusFile: Sendable {
    private static let byteLimit = 4 << 20
    private let folder: NodeFolder
    private let storage = RealStorage()

    init(_ folder: NodeFolder) { self.folder = folder }

    /// The service's runtime directory first (`RuntimeDirectory=` in its unit), then a user's own.
    private var runtimeFolders: [FilePath] { [FilePath("/run/fieldpost"), FilePath("/run/user/\(getuid())/fieldpost")] }
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

    /// The newest that a recorder of this data directory has left; nil when there is none.
    func newest() -> RunningStatus? {
        (runtimeFolders.map { $0.appending(runtimeName) } + [inDataDirectory]).compactMap { path -> RunningStatus? in
            guard (try? storage.size(path)) ?? nil != nil, let bytes = try? storage.read(path, limitBytes: Self.byteLimit) else { return nil }
            return try? JSONDecoder().decode(RunningStatus.self, from: Data(bytes))
        }.max { $0.writtenUnixMilliseconds < $1.writtenUnixMilliseconds }
    }
}
