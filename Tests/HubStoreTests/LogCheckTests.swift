import EvidenceLog
import Foundation
@testable import HubStore
import LogFixtures
import RecordingModel
import Testing
import TestSupport

@Suite struct LogCheckTests {
    /// A hub with the whole log of a node of two epochs, whose files a test may change.
    private struct Bench {
        let folder: StoreFolder
        let node: PushedNode
        let store: HubStore

        init() throws {
            folder = try StoreFolder()
            node = try PushedNode()
            store = try folder.open()
            try node.join(store)
            try node.contact(store, session: 1)
        }

        func change(_ name: String, _ change: (inout [UInt8]) throws -> Void) throws {
            let path = folder.directory.path("logs/\(node.node)/\(node.log)/\(name)")
            var bytes = Array(try Data(contentsOf: URL(filePath: path)))
            try change(&bytes)
            try Data(bytes).write(to: URL(filePath: path))
        }
        var entries: String { LogFolder.entryFileName(first: 0) }
    }

    @Test("A log as it was taken in verifies, entry by entry and checkpoint by checkpoint")
    func whole() throws {
        let bench = try Bench()
        let report = try bench.store.report()
        #expect(report.verified && report.faults.isEmpty && report.segmentsKnown == 5)
        var sizes: [UInt64] = []
        try bench.store.forEachCheckpoint(bench.node.node, bench.node.log) { sizes.append($0.checkpoint.size); return true }
        #expect(sizes == bench.node.sample.checkpoints.map(\.checkpoint.size))
        sizes = []
        try bench.store.forEachCheckpoint(bench.node.node, bench.node.log) { sizes.append($0.checkpoint.size); return sizes.count < 2 }
        #expect(sizes.count == 2)
    }

    @Test("A changed letter, a line that is missing, and a checkpoint that is missing or not cosigned are each found")
    func damage() throws {
        var bench = try Bench()
        try bench.change(bench.entries) { $0[$0.count / 2] ^= 1 }
        #expect(try bench.store.report().faults.count == 1)
        bench = try Bench()
        try bench.change(bench.entries) { bytes in
            let last = try #require(bytes.dropLast().lastIndex(of: UInt8(ascii: "\n")))
            bytes.removeSubrange((last + 1)...)
        }
        #expect(try bench.store.report().faults.contains { $0.contains("a checkpoint goes beyond the entries") })
        bench = try Bench()
        try bench.change(LogFolder.checkpointsName) { $0 = Array($0.prefix($0.count / 2)) }
        #expect(try bench.store.report().faults.count == 1)
        bench = try Bench()
        let plain = bench.node.sample.checkpoints
        try bench.change(LogFolder.checkpointsName) { bytes in bytes = plain.flatMap { LogFolder.encode($0) } }
        #expect(try bench.store.report().faults.contains { $0.contains("lacks this hub's cosignature") })
    }

    @Test("Damaged files prove nothing, and are no error of the asker")
    func proofOfDamage() async throws {
        let bench = try Bench()
        try bench.change(LogFolder.checkpointsName) { $0 = Array($0.prefix(10)) }
        #expect(try await bench.store.proof(node: bench.node.node, segments: bench.node.segments) == nil)
    }
}
