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
    /// Is there when SQLite called the index damaged: the next start makes it anew.
    let indexDamaged: FilePath
    let statement: FilePath
    let pins: FilePath
    let hubPins: FilePath
    let ballast: FilePath
    let imports: FilePath
    /// Written last by a clean stop; says at which log size.
    let stopped: FilePath

    init(root: FilePath) {
        self.root = root
        identity = root.appending("fieldpost-node.json")
        lock = root.appending("lock")
        keys = root.appending("keys")
        segments = root.appending("segments")
        index = root.appending("index.sqlite")
        indexDamaged = root.appending("index.damaged")
        statement = root.appending("statement.json")
        pins = root.appending("pins.json")
        hubPins = root.appending("hub-pins.json")
        ballast = root.appending("reserve.bin")
        imports = root.appending(ImportManifest.folderName)
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
    /// What capture moved out of the way of a number that it used again: files with footage, and side files.
    var aside: [AsideFile] = []
    var asideSides: [AsideFile] = []
    /// Names that no part of the recorder gives.
    var foreign: [String] = []
}

/// `0000000005.open.mp4.aside-1234` or `0000000005.fragments.aside-1234`: the number it had, and the boot-clock
/// milliseconds of its successor's start.
struct AsideFile {
    let name: String
    let sequence: UInt64
    let milliseconds: Int64
    let isSide: Bool

    init?(_ name: String) {
        guard let mark = name.firstRange(of: ".aside-"), let milliseconds = Int64(name[mark.upperBound...]) else { return nil }
        let original = String(name[..<mark.lowerBound])
        guard let sequence = SegmentFiles.sequence(ofName: original) else { return nil }
        switch original {
        case SegmentFiles.openName(sequence): isSide = false
        case SegmentFiles.sideName(sequence): isSide = true
        default: return nil
        }
        self.name = name
        self.sequence = sequence
        self.milliseconds = milliseconds
    }
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
            default:
                guard let aside = AsideFile(name) else {
                    listing.foreign.append(name)
                    continue
                }
                if aside.isSide { listing.asideSides.append(aside) } else { listing.aside.append(aside) }
            }
        }
        listing.aside.sort { ($0.sequence, $0.milliseconds) < ($1.sequence, $1.milliseconds) }
        return listing
    }
}
