import EvidenceLog
import RecordingModel
import StorageIO
import SystemPackage

/// Where everything lies below the node's data directory. Names of segments come from `SegmentFiles`.
struct JournalFiles: Sendable {
    let root: FilePath
    let identity: FilePath
    let lock: FilePath
    let keys: FilePath
    let segments: FilePath
    let index: FilePath
    let statement: FilePath
    /// Written last by a clean stop; says at which log size.
    let stopped: FilePath

    init(root: FilePath) {
        self.root = root
        identity = root.appending("fieldpost-node.json")
        lock = root.appending("lock")
        keys = root.appending("keys")
        segments = root.appending("segments")
        index = root.appending("index.sqlite")
        statement = root.appending("statement.json")
        stopped = root.appending("stopped.json")
    }

    func log(_ log: LogID) -> FilePath {
        var path = root
        for part in LogFolder.path(of: log).split(separator: "/") { path.append(String(part)) }
        return path
    }

    func directory(of stream: StreamID) -> FilePath {
        segments.appending(stream.camera.description).appending(stream.kind.rawValue)
    }
    func sealed(_ id: SegmentID) -> FilePath { directory(of: id.stream).appending(SegmentFiles.sealedName(id.sequence)) }
    func open(_ id: SegmentID) -> FilePath { directory(of: id.stream).appending(SegmentFiles.openName(id.sequence)) }
    func side(_ id: SegmentID) -> FilePath { directory(of: id.stream).appending(SegmentFiles.sideName(id.sequence)) }
}

/// The files of one stream, as a listing of its folder found them.
struct StreamListing {
    let stream: StreamID
    var sealed: [UInt64] = []
    var open: [UInt64] = []
    var side: [UInt64] = []
    /// Names that no part of the recorder gives.
    var foreign: [String] = []
}

extension JournalFiles {
    /// Lists every stream folder. Folders whose names are no stream are left alone.
    func listStreams(_ storage: any StorageIO) throws -> [StreamListing] {
        var result: [StreamListing] = []
        for cameraName in try storage.list(segments) {
            guard let camera = CameraID(cameraName) else { continue }
            for kindName in try storage.list(segments.appending(cameraName)) {
                guard let kind = StreamKind(rawValue: kindName) else { continue }
                result.append(try list(StreamID(camera: camera, kind: kind), storage))
            }
        }
        return result
    }

    func list(_ stream: StreamID, _ storage: any StorageIO) throws -> StreamListing {
        var listing = StreamListing(stream: stream)
        for name in try storage.list(directory(of: stream)) {
            switch SegmentFiles.sequence(ofName: name) {
            case let sequence? where name == SegmentFiles.sealedName(sequence): listing.sealed.append(sequence)
            case let sequence? where name == SegmentFiles.openName(sequence): listing.open.append(sequence)
            case let sequence? where name == SegmentFiles.sideName(sequence): listing.side.append(sequence)
            default: listing.foreign.append(name)
            }
        }
        return listing
    }
}
