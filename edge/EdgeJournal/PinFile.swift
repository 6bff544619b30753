import EvidenceLog
import FoundationEssentials
import RecordingModel
import StorageIO
import SystemPackage

/// Footage that a person asked to keep: it is never given up for space or age. `pins.json` in the data directory.
package struct Pin: Hashable, Sendable, Codable {
    package var stream: StreamID
    package var sequences: SequenceRanges
    package var reason: String
    package var setUnixMilliseconds: Int64
    package init(stream: StreamID, sequences: SequenceRanges, reason: String, setUnixMilliseconds: Int64) {
        self.stream = stream
        self.sequences = sequences
        self.reason = reason
        self.setUnixMilliseconds = setUnixMilliseconds
    }
}

enum PinFile {
    private static let byteLimit = 1 << 20

    static func read(_ file: FilePath, _ storage: any StorageIO) throws -> [Pin] {
        guard try storage.size(file) != nil else { return [] }
        do {
            return try JSONDecoder().decode([Pin].self, from: Data(storage.read(file, limitBytes: byteLimit)))
        } catch let error as DecodingError {
            throw JournalError.unreadable(file: file.string, reason: "\(error)")
        }
    }

    static func write(_ pins: [Pin], _ file: FilePath, _ storage: any StorageIO) throws {
        let bytes = try encodeSorted(pins)
        guard bytes.count <= byteLimit else { throw JournalError.failed(reason: "too many pins: \(file.string) would have more than 1 MiB") }
        try storage.replace(file, with: bytes)
    }

    /// What the crew and the hub forbid to give up.
    static func allRanges(_ files: JournalFiles, _ storage: any StorageIO) throws -> [StreamID: SequenceRanges] {
        ranges(try read(files.pins, storage) + read(files.hubPins, storage))
    }

    static func ranges(_ pins: [Pin]) -> [StreamID: SequenceRanges] {
        pins.reduce(into: [:]) { $0[$1.stream] = ($0[$1.stream] ?? SequenceRanges()).union($1.sequences) }
    }
}

extension JournalReader {
    package func pins() throws -> [Pin] { try PinFile.read(files.pins, storage) }
    /// What the hub asked to keep, in its newest answer.
    package func hubPins() throws -> [Pin] { try PinFile.read(files.hubPins, storage) }

    /// Replaces all pins. A running recorder reads them before it next gives anything up.
    package func setPins(_ pins: [Pin]) throws { try PinFile.write(pins, files.pins, storage) }
}

extension Journal {
    /// Replaces what the hub asked to keep. It holds before anything is next given up.
    package func setHubPins(_ pins: [Pin]) throws {
        try withWriter { _ in try PinFile.write(pins, files.hubPins, storage) }
    }
}
