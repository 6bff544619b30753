import RecordingModel

/// How a log lies on disk, at a node and at a hub alike. Only bytes and names are handled here; reading and writing
/// them is the owner's work.
///
/// - `log/<log id>/entries-<index of the first line, 12 digits>.jsonl`: lines exactly as they were hashed, each with
///   a newline. A new file begins after `entryFileBytes`.
/// - `log/<log id>/checkpoints.txt`: signed notes in rising order of size, each followed by a line `%%`, which no
///   line of a note can be.
package enum LogFolder {
    package static let entryFileBytes: Int64 = 16 << 20
    package static let checkpointsName = "checkpoints.txt"
    private static let separator = Array("%%\n".utf8)
    private static let newline = UInt8(ascii: "\n")

    /// The folder of a log, below the owner's data directory.
    package static func path(of log: LogID) -> String { "log/\(log)" }

    package static func entryFileName(first: UInt64) -> String {
        let digits = String(first)
        return "entries-" + String(repeating: "0", count: max(0, 12 - digits.count)) + digits + ".jsonl"
    }

    /// Nil for a name that is not a file of entries.
    package static func firstIndex(ofEntryFile name: String) -> UInt64? {
        guard name.hasPrefix("entries-"), name.hasSuffix(".jsonl") else { return nil }
        let digits = name.dropFirst("entries-".count).dropLast(".jsonl".count)
        guard digits.utf8.count >= 12, let index = UInt64(digits), entryFileName(first: index) == name else { return nil }
        return index
    }

    /// Calls `body` with each whole line (without its newline) and the offset at which it begins.
    /// - Returns: how many bytes after the last newline belong to no whole line: a torn write.
    package static func forEachLine(in bytes: [UInt8], _ body: (_ offset: Int, _ line: ArraySlice<UInt8>) throws -> Void) rethrows -> Int {
        var start = 0
        while let end = bytes[start...].firstIndex(of: newline) {
            try body(start, bytes[start..<end])
            start = end + 1
        }
        return bytes.count - start
    }

    /// The lines of a file of entries and the length of a torn last line.
    package static func lines(in bytes: [UInt8]) -> (lines: [[UInt8]], tornBytes: Int) {
        var lines: [[UInt8]] = []
        let torn = forEachLine(in: bytes) { _, line in lines.append(Array(line)) }
        return (lines, torn)
    }

    /// What `checkpoints.txt` holds for one checkpoint.
    package static func encode(_ signed: SignedCheckpoint) -> [UInt8] { Array(signed.note.encoded.utf8) + separator }

    package enum NextCheckpoint: Hashable, Sendable {
        case checkpoint(SignedCheckpoint, end: Int)
        /// A whole record that is no checkpoint.
        case malformed(end: Int)
        /// Bytes after the last separator.
        case torn(bytes: Int)
        case end
    }

    /// The record that begins at `offset` of a file of checkpoints.
    package static func checkpoint(in bytes: [UInt8], at offset: Int) -> NextCheckpoint {
        guard offset < bytes.count else { return .end }
        var lineStart = offset
        while let lineEnd = bytes[lineStart...].firstIndex(of: newline) {
            if bytes[lineStart...lineEnd].elementsEqual(separator) {
                let text = String(decoding: bytes[offset..<lineStart], as: UTF8.self)
                guard let signed = SignedCheckpoint(encoded: text) else { return .malformed(end: lineEnd + 1) }
                return .checkpoint(signed, end: lineEnd + 1)
            }
            lineStart = lineEnd + 1
        }
        return .torn(bytes: bytes.count - offset)
    }

    /// All checkpoints of a file up to the first malformed record, and the length of a torn last one.
    package static func checkpoints(in bytes: [UInt8]) -> (checkpoints: [SignedCheckpoint], malformedAt: Int?, tornBytes: Int) {
        var result: [SignedCheckpoint] = []
        var offset = 0
        while true {
            switch checkpoint(in: bytes, at: offset) {
            case .checkpoint(let signed, let end):
                result.append(signed)
                offset = end
            case .malformed: return (result, offset, 0)
            case .torn(let count): return (result, nil, count)
            case .end: return (result, nil, 0)
            }
        }
    }
}
