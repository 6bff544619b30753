import EvidenceLog
import RecordingModel
import StorageIO
import SyncProtocol
import SystemPackage

/// Brings the bundles of a medium into the hub. The medium is only read. Whatever ends it, running it again goes on: what the
/// hub holds is passed over unread.
package struct BundleImport {
    package struct Report: Hashable, Sendable, Encodable {
        /// Below the medium.
        package var folder: String
        package var node = ""
        package var nodeName: String?
        /// Has its end, and all of it was taken.
        package var isWhole = false
        package var segmentsNew = 0
        package var bytesNew: Int64 = 0
        package var segmentsAlreadyHere = 0
        /// Segments with the hub's reason, the first 256 of them.
        package var refused: [String] = []
        package var segmentsRefused = 0
        package var entriesNew: UInt64 = 0
        /// What the bundle was to hold; nil when it was cut before it said so.
        package var segmentsPlanned: UInt64?
        /// Why not all was taken, and what to do.
        package var problem: String?

        private enum CodingKeys: String, CodingKey {
            case folder, node
            case nodeName = "node_name"
            case isWhole = "whole"
            case segmentsNew = "segments_new"
            case bytesNew = "bytes_new"
            case segmentsAlreadyHere = "segments_already_here"
            case refused
            case segmentsRefused = "segments_refused"
            case entriesNew = "entries_new"
            case segmentsPlanned = "segments_planned"
            case problem
        }
    }

    package struct Progress: Sendable {
        package var bytes: Int64
        package var totalBytes: Int64
    }

    /// The statements, by the folder of the node on the medium.
    package private(set) var statements: [String: SignedStatement] = [:]
    package private(set) var reports: [Report] = []

    private struct Found {
        var node: String
        var folder: FilePath
        var files: [(path: FilePath, length: Int64)]
        var header: Result<BundleHeader, any Error>
    }

    private static let messageBytes = 1 << 20
    /// Footage between two looks at what the hub has: below what one push may bring.
    private static let settleBytes: Int64 = 128 << 20
    private static let settleSegments = 4_096

    private let root: FilePath
    private let medium: FilePath
    private let storage: any StorageIO
    private let sink: any BundleSink
    private var readBytes: Int64 = 0
    private var totalBytes: Int64 = 0

    /// - Throws: when there are no bundles.
    package init(medium: FilePath, storage: any StorageIO, sink: any BundleSink) throws {
        self.medium = medium
        self.storage = storage
        self.sink = sink
        guard let name = try storage.list(medium).first(where: { BundleNames.isSame($0, BundleNames.root) }) else {
            throw Problem(status: 404, title: "There is no folder \(BundleNames.root) in \(medium).", detail: "Give the folder where the stick is mounted.")
        }
        root = medium.appending(name)
    }

    package mutating func run(progress: (Progress) -> Void = { _ in }) async throws {
        let found = try bundles()
        totalBytes = found.reduce(0) { $0 + $1.files.reduce(0) { $0 + $1.length } }
        var later: [Found] = []
        for bundle in found {
            let report = try await take(bundle, progress)
            // Another one may bring the entries that it lacks.
            if case .beyondLog = report.outcome { later.append(bundle) } else { reports.append(report.report) }
        }
        for bundle in later { reports.append(try await take(bundle, progress).report) }
    }

    /// Oldest first.
    private func bundles() throws -> [Found] {
        var found: [Found] = []
        for node in try storage.list(root) where BundleNames.isFolder(node) {
            for name in try storage.list(root.appending(node)) where BundleNames.isFolder(name) {
                let folder = root.appending(node).appending(name)
                let names = Dictionary(try storage.list(folder).map { ($0.uppercased(), $0) }, uniquingKeysWith: { first, _ in first })
                var files: [(path: FilePath, length: Int64)] = []
                for number in UInt32(1)...BundleLimits.filesMax {
                    guard let file = names[BundleNames.fileName(number)] else { break }
                    files.append((folder.appending(file), try storage.size(folder.appending(file)) ?? 0))
                }
                guard let first = files.first else { continue }
                found.append(Found(node: node, folder: folder, files: files, header: Result { try header(of: first.path) }))
            }
        }
        func made(_ bundle: Found) -> Int64 { (try? bundle.header.get())?.madeUnixMilliseconds ?? .max }
        return found.sorted { (made($0), $0.folder.string) < (made($1), $1.folder.string) }
    }

    private func header(of path: FilePath) throws -> BundleHeader {
        try BundleHeader(decoding: storage.openForReading(path).read(at: 0, count: BundleHeader.byteCount))
    }

    private enum Outcome { case taken, refused, beyondLog }

    private mutating func take(_ bundle: Found, _ progress: (Progress) -> Void) async throws -> (report: Report, outcome: Outcome) {
        var report = Report(folder: String(bundle.folder.string.dropFirst(medium.string.utf8.count).drop { $0 == "/" }))
        let first: BundleHeader
        do { first = try bundle.header.get() } catch {
            report.problem = "\(error); export again, to another stick where this one is damaged"
            return (report, .refused)
        }
        report.node = first.node.description
        if let problem = try await sink.begin(first).problem {
            report.problem = problem.sentence
            return (report, .refused)
        }
        var taking = Taking(answer: try await sink.settle())
        let before = taking.logSize
        report.nodeName = taking.nodeName
        var outcome = Outcome.taken
        var end: String?
        do {
            end = try await read(bundle, first, &taking, progress)
            try await flush(&taking)
        } catch let problem as Problem {
            (report.problem, outcome) = (problem.sentence, problem.status == 409 ? .beyondLog : .refused)
        }
        let answer = try await sink.settle()
        taking.take(answer)
        if let statement = answer.statement {
            let own = BundleNames.folder(of: first.node)
            statements[BundleNames.isSame(bundle.node, own) ? bundle.node : own] = statement
        }
        report.entriesNew = taking.logSize - min(before, taking.logSize)
        report.segmentsAlreadyHere = taking.alreadyHere
        (report.segmentsNew, report.bytesNew) = (taking.segmentsNew, taking.bytesNew)
        (report.refused, report.segmentsRefused) = (taking.refused, taking.segmentsRefused)
        report.segmentsPlanned = taking.contents.plannedSegments
        report.isWhole = report.problem == nil && end == nil && report.segmentsRefused == 0
        if report.problem == nil, let end {
            let planned = taking.contents.plannedSegments.map { " of \($0)" } ?? ""
            let rest = end == Self.cutSentence ? "for the rest export again to the same stick: it goes on there" : "export again to another stick: this one is damaged"
            report.problem = "\(end); \(taking.contents.wholeSegments)\(planned) segments are whole and counted; \(rest)"
        }
        return (report, outcome)
    }

    /// - Returns: why the bundle ends early; nil when it is whole.
    private mutating func read(_ bundle: Found, _ first: BundleHeader, _ taking: inout Taking, _ progress: (Progress) -> Void) async throws -> String? {
        for (index, file) in bundle.files.enumerated() {
            let name = file.path.lastComponent?.string ?? ""
            guard let header = try? header(of: file.path), header.isOfSameBundle(as: first), header.number == UInt32(index + 1) else {
                return index == bundle.files.count - 1 ? Self.cutSentence : "file \(name) is not the bundle's next one, or damaged"
            }
            let opened = try storage.openForReading(file.path)
            var reader = BundleReader(length: opened.length) { try opened.read(at: $0, count: $1) }
            while true {
                let record: BundleRecord?
                do throws(BundleBreak) {
                    record = try reader.next { [taking] segment, offset, count in taking.wants(segment, offset: offset, count: count) }
                } catch {
                    if error.reason == .torn { return Self.cutSentence }
                    return "file \(name): \(error)"
                }
                guard let record else { break }
                guard taking.contents.take(record) else { return "file \(name) is damaged before byte \(reader.offset)" }
                readBytes += Int64(record.wireBytes)
                try await pass(record, &taking)
                progress(Progress(bytes: readBytes, totalBytes: totalBytes))
            }
        }
        return taking.contents.end == nil ? Self.cutSentence : nil
    }

    private static let cutSentence = "the bundle has no end: the stick was pulled out, or full, while it was written"

    private func pass(_ record: BundleRecord, _ taking: inout Taking) async throws {
        switch record.content {
        case .entries:
            try await flush(&taking)
            taking.unsettled += Int64(record.wire.count)
            if let problem = try await sink.entries(record.wire).problem { throw problem }
        case .data:
            taking.pending += record.wire
        case .end(let segment, let length, _):
            if taking.isHeld(segment) {
                taking.alreadyHere += 1
            } else {
                taking.pending += record.wire
                taking.sent[segment] = length
            }
        case .mark: break
        }
        if taking.pending.count >= Self.messageBytes { try await flush(&taking) }
        if taking.unsettled >= Self.settleBytes || taking.sent.count >= Self.settleSegments {
            try await flush(&taking)
            taking.unsettled = 0
            taking.take(try await sink.settle())
        }
    }

    private func flush(_ taking: inout Taking) async throws {
        guard !taking.pending.isEmpty else { return }
        let answer = try await sink.frames(taking.pending)
        taking.unsettled += Int64(taking.pending.count)
        taking.pending.removeAll(keepingCapacity: true)
        if let problem = answer.problem { throw problem }
    }
}

/// One bundle being taken in: what the hub had of it, and what was sent since.
private struct Taking {
    var contents = BundleContents()
    var pending: [UInt8] = []
    var unsettled: Int64 = 0
    var sent: [SegmentID: Int64] = [:]
    var alreadyHere = 0
    private(set) var segmentsNew = 0
    private(set) var bytesNew: Int64 = 0
    private(set) var refused: [String] = []
    private(set) var segmentsRefused = 0
    private(set) var logSize: UInt64 = 0
    private(set) var nodeName: String?
    private var held: [StreamID: SequenceRanges] = [:]
    private var partials: [SegmentID: Int64] = [:]

    init(answer: BundleAnswer) { take(answer) }

    mutating func take(_ answer: BundleAnswer) {
        logSize = answer.logSize
        nodeName = answer.nodeName
        held = answer.held.reduce(into: [:]) { $0[$1.stream] = $1.sequences }
        partials = answer.partials.reduce(into: [:]) { $0[$1.segment] = $1.offset }
        let refusals = answer.refusals.reduce(into: [SegmentID: Refusal]()) { if let segment = $1.segment { $0[segment] = $0[segment] ?? $1 } }
        for (segment, bytes) in sent.sorted(by: { $0.key < $1.key }) {
            if isHeld(segment) {
                segmentsNew += 1
                bytesNew = bytesNew.addingReportingOverflow(bytes).partialValue
            } else {
                segmentsRefused += 1
                if refused.count < Self.refusedMax { refused.append("\(segment): \(refusals[segment]?.detail ?? "the import ended before")") }
            }
        }
        sent = [:]
    }
    private static let refusedMax = 256

    func isHeld(_ segment: SegmentID) -> Bool { held[segment.stream]?.contains(segment.sequence) == true }

    func wants(_ segment: SegmentID, offset: Int64, count: Int) -> Bool {
        let (end, overflow) = offset.addingReportingOverflow(Int64(count))
        return !isHeld(segment) && (overflow || end > partials[segment] ?? 0)
    }
}

extension Problem {
    /// For a person at the terminal.
    var sentence: String {
        let hint = status == 409 && field != nil ? " At the node run: fieldpost-edge export --all-entries" : ""
        return title + (detail.map { " " + $0 } ?? "") + hint
    }
}

package enum BundleReceipt {
    /// Writes a statement for the courier to bring back. A torn one is recognised by its signature; importing again writes it anew.
    package static func write(_ statement: SignedStatement, nodeFolder name: String, to medium: FilePath, storage: any StorageIO) throws -> FilePath {
        let root = try storage.list(medium).first { BundleNames.isSame($0, BundleNames.root) } ?? BundleNames.root
        let folder = medium.appending(root).appending(name)
        try storage.makeDirectory(folder)
        let path = folder.appending(BundleNames.receipt)
        try storage.remove(path)
        let file = try storage.openForAppending(path)
        try file.append(statement.receiptFile())
        try file.sync()
        try file.close()
        try storage.syncDirectory(folder)
        return path
    }
}
