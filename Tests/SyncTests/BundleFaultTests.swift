import EdgeCourier
import EvidenceLog
import Foundation
import HubIngest
import HubStore
import LogFixtures
import Logging
import NodeIdentity
import RecordingModel
import StorageIO
@testable import SyncProtocol
import Synchronization
import SystemPackage
import TestSupport
import Testing

@Suite struct BundleFaultTests {
    /// A medium that takes so many bytes and then fails like a full one, or one that was pulled out, in the middle of a write.
    private struct FailingMedium: StorageIO {
        let real = RealStorage()
        let left: Left
        let errno: Errno

        final class Left: Sendable {
            let bytes: Mutex<Int>
            init(_ bytes: Int) { self.bytes = Mutex(bytes) }
        }
        final class File: AppendingFile {
            let real: any AppendingFile
            let medium: FailingMedium
            init(_ real: any AppendingFile, _ medium: FailingMedium) { (self.real, self.medium) = (real, medium) }
            var length: Int64 { real.length }
            func append(_ bytes: UnsafeRawBufferPointer) throws {
                let fits = medium.left.bytes.withLock { left in
                    defer { left = max(0, left - bytes.count) }
                    return min(left, bytes.count)
                }
                try real.append(UnsafeRawBufferPointer(rebasing: bytes[..<fits]))
                guard fits == bytes.count else { throw StorageError(operation: "write", path: "stick", errno: medium.errno) }
            }
            func sync() throws { try real.sync() }
            func truncate(to length: Int64) throws { try real.truncate(to: length) }
            func close() throws { try real.close() }
        }
        func makeDirectory(_ path: FilePath) throws { try real.makeDirectory(path) }
        func openForAppending(_ path: FilePath) throws -> any AppendingFile { File(try real.openForAppending(path), self) }
        func openForReading(_ path: FilePath) throws -> any ReadingFile { try real.openForReading(path) }
        func rename(_ path: FilePath, to target: FilePath) throws { throw StorageError(operation: "rename", path: path, errno: .notSupported) }
        func syncDirectory(_ path: FilePath) throws { try real.syncDirectory(path) }
        func remove(_ path: FilePath) throws { try real.remove(path) }
        func removeDirectory(_ path: FilePath) throws { try real.removeDirectory(path) }
        func list(_ path: FilePath) throws -> [String] { try real.list(path) }
        func size(_ path: FilePath) throws -> Int64? { try real.size(path) }
        func space(_ path: FilePath) throws -> DiskSpace { DiskSpace(totalBytes: 1 << 40, availableBytes: 1 << 39) }
    }

    /// Pulled out at every byte that is written, within headers, records and marks: the next export on the same stick goes on,
    /// and the hub has all of it then, each segment once.
    @Test(.timeLimit(.minutes(5)))
    func aStickThatIsPulledOutAtAnyByteIsGoneOnWith() async throws {
        let courier = try Courier(segments: Courier.footage(3, bytes: 500))
        let options = Courier.options(fileBytes: 1_100, recordBytes: 200)
        _ = try courier.export(options: options)
        let total = courier.bundleFiles.reduce(0) { $0 + (FileManager.default.contents(atPath: $1)?.count ?? 0) }
        for limit in stride(from: 0, to: total, by: 131) {
            let stick = try TemporaryDirectory("stick")
            #expect(throws: StorageError.self, "after \(limit) bytes") {
                try courier.export(to: stick.path, storage: FailingMedium(left: .init(limit), errno: .ioError), options: options)
            }
            let hub = try TemporaryDirectory("hub")
            let store = try courier.store(folder: hub.path)
            // What was on it is imported first, as somebody would.
            _ = try? await courier.importStick(store, from: stick.path)
            let early = try courier.heldAndTrue(store, folder: hub.path)
            let summary = try courier.export(to: stick.path, seed: 2, options: options)
            #expect(summary.outcome == .complete, "after \(limit) bytes")
            let report = try #require(try await courier.importStick(store, from: stick.path).reports.first)
            #expect(report.isWhole && report.segmentsNew == 3 - early.count && report.segmentsAlreadyHere == early.count, "after \(limit) bytes: \(report)")
            #expect(try courier.heldAndTrue(store, folder: hub.path) == Set(0..<3))
            #expect(try FileManager.default.contentsOfDirectory(atPath: stick.path("FIELDPST/" + BundleNames.folder(of: courier.source.node))).count == 1, "gone on with, not begun anew")
        }
    }

    @Test func whatWasOnTheStickBeforeTheCutIsNotWrittenAgain() throws {
        let courier = try Courier(segments: Courier.footage(4))
        let medium = FailingMedium(left: .init(6_500), errno: .ioError)
        #expect(throws: StorageError.self) { try courier.export(storage: medium) }
        let before = courier.bundleFiles.map { FileManager.default.contents(atPath: $0) ?? Data() }
        let summary = try courier.export(seed: 2)
        #expect(summary.isResumed && summary.segmentsOnMedium > 0 && summary.segments + summary.segmentsOnMedium == 4)
        #expect(summary.bytes < 4 * 2_000 - Int64(summary.segmentsOnMedium) * 2_000 + 10, "a segment goes on within itself: \(summary)")
        for (path, old) in zip(courier.bundleFiles, before).dropLast() { #expect(FileManager.default.contents(atPath: path) == old) }
    }

    @Test func aFullStickCountsAndABiggerOneBringsTheRest() async throws {
        let courier = try Courier(segments: Courier.footage(5))
        #expect { try courier.export(storage: FailingMedium(left: .init(8_000), errno: .noSpace)) } throws: { ($0 as? StorageError)?.isNoSpace == true }
        let store = try courier.store()
        let small = try #require(try await courier.importStick(store).reports.first)
        let whole = small.segmentsNew
        #expect(!small.isWhole && (1...4).contains(whole) && small.segmentsPlanned == 5 && small.problem?.contains("\(whole) of 5 segments") == true, "\(small)")
        let bigger = try TemporaryDirectory("bigger")
        _ = try courier.export(to: bigger.path, seed: 2)
        let rest = try #require(try await courier.importStick(store, from: bigger.path).reports.first)
        #expect(rest.isWhole && rest.segmentsNew == 5 - whole && rest.segmentsAlreadyHere == whole, "\(rest)")
        #expect(try courier.heldAndTrue(store) == Set(0..<5))
    }

    @Test func aBudgetIsKeptAndTheNextStickTakesTheRest() async throws {
        let courier = try Courier(segments: Courier.footage(5))
        var options = Courier.options()
        options.budgetBytes = 64 << 10 | 8_000
        let summary = try courier.export(options: options)
        #expect(summary.outcome == .complete && summary.segments > 0 && summary.segmentsLeft == 5 - summary.segments && summary.segmentsLeft > 0, "\(summary)")
        let bytes = courier.bundleFiles.reduce(0) { $0 + (FileManager.default.contents(atPath: $1)?.count ?? 0) }
        #expect(bytes <= 8_000 + 64 << 10)
        let store = try courier.store()
        let report = try #require(try await courier.importStick(store).reports.first)
        #expect(report.isWhole && report.segmentsNew == summary.segments)
        // The hub's statement is back: only the rest is written, and what the hub has goes from the stick.
        let next = try courier.export(source: Rest(courier.source, held: try courier.statement(store)), statement: try courier.statement(store), seed: 2)
        #expect(next.removedBundles == 1 && next.segments == summary.segmentsLeft && next.segmentsOnMedium == 0, "\(next)")
    }

    /// The same node after a statement.
    private struct Rest: BundleSource {
        let source: MemorySource
        let held: [StreamID: SequenceRanges]
        init(_ source: MemorySource, held: HoldingsStatement) { (self.source, self.held) = (source, held.heldByStream) }
        var node: NodeID { source.node }
        var log: LogID { source.log }
        func newestCheckpoint() throws -> SignedCheckpoint? { try source.newestCheckpoint() }
        func forEachBatch(from start: UInt64, to size: UInt64, _ body: (EntryBatch) throws -> Void) throws { try source.forEachBatch(from: start, to: size, body) }
        func waiting() throws -> [SegmentWork] { try source.waiting().filter { held[$0.segment.stream]?.contains($0.segment.sequence) != true } }
        func read(_ work: SegmentWork, offset: Int64, count: Int) throws -> [UInt8] { try source.read(work, offset: offset, count: count) }
    }

    @Test func aSegmentThatTheRecorderGaveUpMeanwhileIsLeftOut() async throws {
        struct Evicting: BundleSource {
            let source: MemorySource
            var node: NodeID { source.node }
            var log: LogID { source.log }
            func newestCheckpoint() throws -> SignedCheckpoint? { try source.newestCheckpoint() }
            func forEachBatch(from start: UInt64, to size: UInt64, _ body: (EntryBatch) throws -> Void) throws { try source.forEachBatch(from: start, to: size, body) }
            func waiting() throws -> [SegmentWork] { try source.waiting() }
            func read(_ work: SegmentWork, offset: Int64, count: Int) throws -> [UInt8] {
                if work.segment.sequence == 1, offset > 0 { throw FixtureError(what: "gone") }
                return try source.read(work, offset: offset, count: count)
            }
        }
        let courier = try Courier(segments: Courier.footage(3))
        let summary = try courier.export(source: Evicting(source: courier.source))
        #expect(summary.outcome == .complete && summary.segments == 2 && summary.unreadable == ["gate/main/1"])
        let store = try courier.store()
        let report = try #require(try await courier.importStick(store).reports.first)
        #expect(report.isWhole && report.segmentsNew == 2)
        #expect(try courier.heldAndTrue(store) == [0, 2])
    }

    @Test func aRequestToStopLeavesAWholePrefix() async throws {
        let courier = try Courier(segments: Courier.footage(4))
        var asked = 0
        let summary = try courier.export(isStopped: {
            asked += 1
            return asked > 6
        })
        #expect(summary.outcome == .stopped && summary.segments == 2)
        let store = try courier.store()
        #expect(try await courier.importStick(store).reports.first?.segmentsNew == 2)
        #expect(try courier.export(seed: 2).outcome == .complete)
        let report = try await courier.importStick(store).reports.first
        #expect(report?.isWhole == true && report?.segmentsNew == 2 && report?.segmentsAlreadyHere == 2, "\(String(describing: report))")
    }
}
