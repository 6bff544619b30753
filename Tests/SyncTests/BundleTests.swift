import EdgeCourier
import EvidenceLog
import Foundation
import HubIngest
import HubStore
import LogFixtures
import RecordingModel
import StorageIO
@testable import SyncProtocol
import SystemPackage
import TestSupport
import Testing

@Suite struct BundleTests {
    @Test func aStickBringsEverythingAndASecondTimeNothing() async throws {
        let courier = try Courier(segments: Courier.footage(5))
        let summary = try courier.export()
        #expect(summary.outcome == .complete && summary.segments == 5 && summary.segmentsLeft == 0)
        #expect(courier.bundleFiles.count > 2, "several files")
        #expect(files(under: courier.stick.path).allSatisfy { (FileManager.default.contents(atPath: $0)?.count ?? 0) <= 4_000 })
        let store = try courier.store()
        let report = try #require(try await courier.importStick(store).reports.first)
        #expect(report.isWhole && report.segmentsNew == 5 && report.segmentsAlreadyHere == 0 && report.refused.isEmpty, "\(report)")
        #expect(report.entriesNew == 6 && report.segmentsPlanned == 5)
        #expect(try courier.heldAndTrue(store) == Set(0..<5))
        let again = try #require(try await courier.importStick(store).reports.first)
        #expect(again.isWhole && again.segmentsNew == 0 && again.segmentsAlreadyHere == 5 && again.entriesNew == 0, "\(again)")
        #expect(files(under: courier.hubFolder.path("blobs")).count == 5)
        #expect(files(under: courier.hubFolder.path("partials")).isEmpty)
    }

    /// Cut at every byte: what is whole before the cut counts, and nothing else.
    @Test func everyCutLeavesItsPrefixAndNeverMore() throws {
        let courier = try Courier(segments: Courier.footage(3, bytes: 300))
        _ = try courier.export(options: Courier.options(fileBytes: 4_000, recordBytes: 150))
        for path in courier.bundleFiles {
            let bytes = try RealStorage().read(FilePath(path))
            let all = Self.contents(bytes).contents.wholeSegments
            for length in BundleHeader.byteCount...bytes.count {
                let (contents, end) = Self.contents(Array(bytes.prefix(length)))
                let expected = Self.wholeSegments(Array(bytes.prefix(length)))
                #expect(contents.wholeSegments == expected.count && end <= length, "\(path) cut at \(length)")
                #expect(length == bytes.count || contents.end == nil)
            }
            #expect(all == Self.wholeSegments(bytes).count)
        }
    }

    /// Any changed bit: no more counts than before it, and a record behind it never does.
    @Test func everyChangedByteEndsWhatCounts() throws {
        let courier = try Courier(segments: Courier.footage(2, bytes: 200))
        _ = try courier.export(options: Courier.options(fileBytes: 100_000, recordBytes: 120))
        let bytes = try RealStorage().read(FilePath(try #require(courier.bundleFiles.first)))
        for index in bytes.indices.dropFirst(BundleHeader.byteCount) {
            for bit in 0..<8 {
                var changed = bytes
                changed[index] ^= 1 << bit
                let (contents, end) = Self.contents(changed)
                #expect(end <= index && contents.end == nil, "byte \(index), bit \(bit)")
                #expect(contents.wholeSegments == Self.wholeSegments(Array(bytes.prefix(end))).count)
            }
        }
    }

    private static func contents(_ bytes: [UInt8]) -> (contents: BundleContents, end: Int) {
        var reader = BundleReader(length: Int64(bytes.count)) { Array(bytes[min(bytes.count, Int($0))...].prefix($1)) }
        var contents = BundleContents()
        var end = reader.offset
        while let record = try? reader.next(), contents.take(record) { end = reader.offset }
        return (contents, Int(end))
    }

    /// The same through a hub, at a sample of the places: it holds the prefix, says why it ends, and the whole stick completes it.
    @Test(.timeLimit(.minutes(5)))
    func aHubImportsThePrefixOfACutStick() async throws {
        let courier = try Courier(segments: Courier.footage(2, bytes: 300))
        _ = try courier.export(options: Courier.options(fileBytes: 1_200, recordBytes: 150))
        let whole = try courier.bundleFiles.map { try RealStorage().read(FilePath($0)) }
        #expect(whole.count >= 2)
        var random = SeededNumbers(seed: 3)
        for (number, bytes) in whole.enumerated() {
            let cuts = [0, 1, BundleHeader.byteCount - 1, BundleHeader.byteCount, bytes.count - 1] + (0..<5).map { _ in Int.random(in: 0..<bytes.count, using: &random) }
            for length in cuts {
                let (cut, hub) = (try TemporaryDirectory("cut"), try TemporaryDirectory("hub"))
                for (other, content) in whole.enumerated() where other <= number {
                    let path = courier.bundleFiles[other].replacingOccurrences(of: courier.stick.path, with: cut.path)
                    try FileManager.default.createDirectory(atPath: (path as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
                    try Data(other == number ? Array(content.prefix(length)) : content).write(to: URL(fileURLWithPath: path))
                }
                let store = try courier.store(folder: hub.path)
                let expected = (Array(whole.prefix(number)) + [Array(bytes.prefix(length))]).reduce(into: Set<UInt64>()) { $0.formUnion(Self.wholeSegments($1)) }
                let report = try #require(try await courier.importStick(store, from: cut.path).reports.first)
                #expect(try courier.heldAndTrue(store, folder: hub.path) == expected, "file \(number + 1) cut at \(length): \(report)")
                #expect(!report.isWhole && report.problem != nil && report.segmentsNew == expected.count, "file \(number + 1) cut at \(length)")
                #expect(try await courier.importStick(store).reports.first?.isWhole == true)
                #expect(try courier.heldAndTrue(store, folder: hub.path) == [0, 1])
            }
        }
    }

    /// By the format's text alone: frames in order, up to the first that is not all there.
    private static func wholeSegments(_ bytes: [UInt8]) -> Set<UInt64> {
        var found: Set<UInt64> = []
        var offset = BundleHeader.byteCount
        while bytes.count - offset >= 4 {
            let length = bytes[offset..<offset + 4].reduce(0) { $0 << 8 | Int($1) }
            guard offset + length + 8 <= bytes.count else { break }
            if bytes[offset + 4] == 3, case .end(let segment, _, _)? = try? FrameCoding.decode(bytes[(offset + 4)..<(offset + 4 + length)]) { found.insert(segment.sequence) }
            offset += length + 8
        }
        return found
    }

    /// Changed bits through a hub: nothing that the node has not recorded comes in, and nobody is accused of a second history.
    @Test(.timeLimit(.minutes(5)))
    func aDamagedStickIsRefusedOrHarmless() async throws {
        let courier = try Courier(segments: Courier.footage(2, bytes: 200))
        _ = try courier.export(options: Courier.options(fileBytes: 100_000, recordBytes: 120))
        let path = try #require(courier.bundleFiles.first)
        let bytes = try RealStorage().read(FilePath(path))
        var random = SeededNumbers(seed: 5)
        for _ in 0..<30 {
            var changed = bytes
            let index = Int.random(in: bytes.indices, using: &random)
            changed[index] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            try Data(changed).write(to: URL(fileURLWithPath: path))
            let hub = try TemporaryDirectory("hub")
            let store = try courier.store(folder: hub.path)
            #expect(try await courier.importStick(store).reports.first?.isWhole != true, "byte \(index)")
            _ = try courier.heldAndTrue(store, folder: hub.path)
            #expect(try store.nodeState(courier.source.node) == .active, "byte \(index)")
        }
    }

    @Test func whatTheLinkBeganTheStickEndsAndNothingIsStoredTwice() async throws {
        let courier = try Courier(segments: Courier.footage(3))
        let store = try courier.store()
        let source = courier.source
        // The link: entries, segment 0 whole, half of segment 1.
        let checkpoint = try source.sample.checkpoints.last.orThrow("a checkpoint")
        var frames: [Frame] = [.entries(try EntryBatch(start: 0, lines: source.sample.lines, checkpoint: checkpoint).encoded())]
        let segments = source.contents.keys.sorted()
        frames.append(.data(segment: segments[0], offset: 0, bytes: source.contents[segments[0]] ?? []))
        frames.append(.end(segment: segments[0], length: Int64(source.contents[segments[0]]?.count ?? 0), sha256: .sha256(source.contents[segments[0]] ?? [])))
        frames.append(.data(segment: segments[1], offset: 0, bytes: Array((source.contents[segments[1]] ?? []).prefix(1_100))))
        let link = courier.sink(store)
        let header = BundleHeader(
            number: 1, bundle: [UInt8](repeating: 1, count: 16), node: source.node, hub: Courier.hub, log: source.log, madeUnixMilliseconds: 1, firstEntry: 0)
        _ = try await link.begin(header)
        _ = try await link.entries(FrameCoding.encode(frames[0]))
        for frame in frames.dropFirst() { #expect(try await link.frames(FrameCoding.encode(frame)).problem == nil) }
        let before = try await link.settle()
        #expect(before.partials.first?.offset == 1_100)
        // The stick brings all three.
        _ = try courier.export()
        let report = try #require(try await courier.importStick(store).reports.first)
        #expect(report.segmentsNew == 2 && report.segmentsAlreadyHere == 1 && report.isWhole, "\(report)")
        #expect(try courier.heldAndTrue(store) == Set(0..<3))
        #expect(files(under: courier.hubFolder.path("blobs")).count == 3 && files(under: courier.hubFolder.path("partials")).isEmpty)
    }

    /// A link goes on with a segment while a stick brings it: whichever is behind is told where the other is.
    @Test func aLinkAndAStickAtTheSameTimeDoNotSpoilASegment() async throws {
        let courier = try Courier(segments: Courier.footage(1))
        let store = try courier.store()
        let (source, segment) = (courier.source, try #require(courier.source.contents.keys.first))
        let bytes = source.contents[segment] ?? []
        let checkpoint = try source.sample.checkpoints.last.orThrow("a checkpoint")
        let entries = FrameCoding.encode(.entries(try EntryBatch(start: 0, lines: source.sample.lines, checkpoint: checkpoint).encoded()))
        let header = BundleHeader(
            number: 1, bundle: [UInt8](repeating: 1, count: 16), node: source.node, hub: Courier.hub, log: source.log, madeUnixMilliseconds: 1, firstEntry: 0)
        let (one, two) = (courier.sink(store), courier.sink(store))
        for sink in [one, two] {
            _ = try await sink.begin(header)
            #expect(try await sink.entries(entries).problem == nil)
        }
        func piece(_ range: Range<Int>) -> [UInt8] { FrameCoding.encode(.data(segment: segment, offset: Int64(range.lowerBound), bytes: Array(bytes[range]))) }
        _ = try await one.frames(piece(0..<500))
        _ = try await two.frames(piece(0..<800))
        _ = try await one.frames(piece(500..<900))
        let told = try await one.settle()
        #expect(told.refusals.map(\.reason) == [.wrongOffset] && told.refusals.first?.expected == 800, "\(told.refusals)")
        _ = try await two.frames(piece(800..<bytes.count))
        _ = try await two.frames(FrameCoding.encode(.end(segment: segment, length: Int64(bytes.count), sha256: .sha256(bytes))))
        #expect(try await two.settle().refusals.isEmpty)
        #expect(try courier.heldAndTrue(store) == [0])
    }
}
