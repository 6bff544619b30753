import EvidenceLog
import FoundationEssentials
import RecordingModel
import StorageIO
import SystemPackage

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Hands that write segments into a data directory as capture does.
package struct SegmentWriter {
    package let directory: FilePath
    package let clocks: any Clocks

    package init(directory: FilePath, clocks: any Clocks) {
        self.directory = directory
        self.clocks = clocks
    }

    package func path(_ stream: StreamID, _ name: String) -> FilePath {
        directory.appending("segments").appending(stream.camera.description).appending(stream.kind.rawValue).appending(name)
    }

    /// Writes a segment file and its side file as capture leaves them: whole and synced under the open name.
    package func write(_ stream: StreamID, _ sequence: UInt64, run: UInt64 = 0, fragments: Int = 3, through storage: any StorageIO = RealStorage(), at moment: Moment? = nil) throws -> ClosedSegment {
        let folder = path(stream, "").string
        try storage.makeDirectory(FilePath(folder))
        let start = moment ?? clocks.now()
        let header = Array("init of \(stream)".utf8)
        let sideHeader = SideHeader(
            run: run, bootID: clocks.bootID, startBootMilliseconds: start.bootMilliseconds, startWall: start.wall, initBytes: Int64(header.count),
            initSHA256: .sha256(header), codecs: "avc1.42c01e", widthPixels: 640, heightPixels: 360, mediaStartTicks90k: 0, configVersion: "c1")
        var content = header
        var records: [FragmentRecord] = []
        for fragment in 0..<fragments {
            let bytes = Array("fragment \(fragment) of \(stream) \(sequence) ".utf8) + [UInt8](repeating: UInt8(fragment), count: 100)
            records.append(FragmentRecord(
                offset: Int64(content.count), length: Int64(bytes.count), sha256: .sha256(bytes), durationTicks90k: 180_000, frames: 30))
            content += bytes
        }
        let openPath = path(stream, SegmentFiles.openName(sequence))
        let sidePath = path(stream, SegmentFiles.sideName(sequence))
        let side = Array(try JSONEncoder().encode(sideHeader)) + [10] + records.flatMap(\.encoded)
        for (path, bytes) in [(sidePath, side), (openPath, content)] {
            let file = try storage.openForAppending(path)
            try file.append(bytes)
            try file.sync()
            try file.close()
        }
        try storage.syncDirectory(FilePath(folder))
        let duration = Int64(fragments) * 2_000
        return ClosedSegment(
            record: SegmentRecord(
                stream: stream, sequence: sequence, run: run, bootID: clocks.bootID, startBootMilliseconds: start.bootMilliseconds,
                endBootMilliseconds: start.bootMilliseconds + duration, startWall: start.wall, bytes: Int64(content.count), sha256: .sha256(content),
                fragmentRoot: MerkleTree.root(ofLeafData: records.map(\.sha256.bytes)), fragmentCount: fragments, initBytes: Int64(header.count),
                initSHA256: .sha256(header), codecs: "avc1.42c01e", widthPixels: 640, heightPixels: 360, mediaStartTicks90k: 0,
                mediaDurationTicks90k: Int64(fragments) * 180_000, frames: 30 * fragments, drops: 0, end: .length, configVersion: "c1"),
            openPath: openPath.string, sidePath: sidePath.string)
    }
}

/// A new folder that whoever made it removes. In memory where there is such a file system: what is tested is the order
/// of the calls, not the disk.
package func makeScratch(_ name: String) throws -> FilePath {
    let parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"
    var template = Array("\(parent)/fieldpost-\(name)-XXXXXX".utf8CString)
    let isMade = template.withUnsafeMutableBufferPointer { buffer in buffer.baseAddress.flatMap { mkdtemp($0) } != nil }
    let path = FilePath(String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self))
    guard isMade else { throw StorageError(operation: "mkdtemp", path: path, errno: .ioError) }
    return path
}

/// Removes a folder with what is in it, or a file.
package func removeAll(_ path: FilePath) {
    if let names = try? RealStorage().list(path) { for name in names { removeAll(path.appending(name)) } }
    if unlink(path.string) != 0 { rmdir(path.string) }
}
