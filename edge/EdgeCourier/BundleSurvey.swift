import RecordingModel
import StorageIO
import SyncProtocol
import SystemPackage

/// A bundle as it lies on a medium, and how much of it counts.
struct BundleSurvey {
    let folder: FilePath
    let header: BundleHeader
    private(set) var contents = BundleContents()
    /// The file to go on in, and its length up to the last whole record; 0 when not even its header counts.
    private(set) var lastFile: UInt32 = 1
    private(set) var lastLength: Int64 = 0

    /// Nil for a folder that holds no bundle. Every file was synced before the next began, so that only the last one can have
    /// been cut: of the others the footage is passed over unread.
    init?(_ folder: FilePath, storage: any StorageIO) throws {
        let numbers = try Self.files(of: folder, storage)
        guard let first = try Self.header(folder, 1, storage) else { return nil }
        self.folder = folder
        header = first
        for number in UInt32(1)...max(1, UInt32(numbers.count)) {
            (lastFile, lastLength) = (number, 0)
            guard try Self.header(folder, number, storage).map({ $0.isOfSameBundle(as: first) && $0.number == number }) == true else { return }
            let file = try storage.openForReading(folder.appending(BundleNames.fileName(number)))
            var reader = BundleReader(length: file.length) { try file.read(at: $0, count: $1) }
            let isLast = number == numbers.count
            lastLength = reader.offset
            do throws(BundleBreak) {
                while let record = try reader.next(isWanted: { _, _, _ in isLast }) {
                    guard contents.take(record) else { return }
                    lastLength = reader.offset
                }
            } catch {
                if case .unreadable(let reason) = error.reason { throw CourierError("\(folder)/\(BundleNames.fileName(number)) cannot be read: \(reason); use another medium") }
                return
            }
        }
    }

    /// Numbers of the files that follow one another from 1 on.
    static func files(of folder: FilePath, _ storage: any StorageIO) throws -> [UInt32] {
        let names = Set(try storage.list(folder).map { $0.uppercased() })
        return Array((UInt32(1)...BundleLimits.filesMax).prefix { names.contains(BundleNames.fileName($0)) })
    }

    private static func header(_ folder: FilePath, _ number: UInt32, _ storage: any StorageIO) throws -> BundleHeader? {
        let path = folder.appending(BundleNames.fileName(number))
        guard try storage.size(path) != nil else { return nil }
        return try? BundleHeader(decoding: try storage.openForReading(path).read(at: 0, count: BundleHeader.byteCount))
    }

    /// Whether the hub has all of it.
    func isCovered(by statement: HoldingsStatement?) -> Bool {
        guard contents.wholeSegments > 0 || (contents.entriesEnd ?? 0) > 0 else { return contents.begun == nil }
        guard let statement, contents.entriesEnd ?? 0 <= statement.logSize else { return false }
        let held = statement.heldByStream
        let isBegunHeld = contents.begun.map { held[$0.segment.stream]?.contains($0.segment.sequence) == true } ?? true
        return isBegunHeld && contents.whole.allSatisfy { $0.value.subtracting(held[$0.key] ?? SequenceRanges()).ranges.isEmpty }
    }

    /// The last file first: what is left after a cut is still a bundle.
    static func remove(_ folder: FilePath, _ storage: any StorageIO) throws {
        for number in try files(of: folder, storage).reversed() { try storage.remove(folder.appending(BundleNames.fileName(number))) }
        try storage.removeDirectory(folder)
        try storage.syncDirectory(folder.removingLastComponent())
    }
}
