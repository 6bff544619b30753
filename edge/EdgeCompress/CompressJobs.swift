import StorageIO

extension WorkerJob {
    var name: String {
        switch self {
        case .thumbnails: "thumbnails"
        case .proxy: "proxy"
        case .trial: "trial"
        }
    }
}

/// What a job without a source reads.
final class NoSource: ReadingFile {
    var length: Int64 { 0 }
    func read(at offset: Int64, into buffer: UnsafeMutableRawBufferPointer) throws -> Int { 0 }
}
