import Crypto
import EdgeCourier
import EvidenceLog
import Foundation
import HubIngest
import HubStore
import LogFixtures
import Logging
import NodeIdentity
import RecordingModel
import ServiceLifecycle
import StorageIO
@testable import SyncProtocol
import SystemPackage
import TestSupport
import Testing

@Suite struct BundleTrustTests {
    @Test func aNodeThatNeverJoinedIsRefusedWithASentence() async throws {
        let courier = try Courier(segments: Courier.footage(1))
        _ = try courier.export()
        let store = try courier.store(joining: false)
        let work = try await courier.importStick(store)
        #expect(work.reports.first?.problem?.contains("has not joined this hub") == true && work.statements.isEmpty)
        #expect(files(under: courier.hubFolder.path("blobs")).isEmpty && files(under: courier.hubFolder.path("logs")).isEmpty)
    }

    @Test func aSuspendedNodeAndAnotherHubsBundleAreRefused() async throws {
        let courier = try Courier(segments: Courier.footage(1))
        _ = try courier.export()
        let store = try courier.store()
        let name = try #require(try store.nodeName(courier.source.node))
        _ = try store.setState(.suspended, ofNodeNamed: name)
        #expect(try await courier.importStick(store).reports.first?.problem?.contains("suspended") == true)
        _ = try store.setState(.active, ofNodeNamed: name)
        var random = SeededNumbers(seed: 3)
        _ = try BundleExport(
            medium: FilePath(courier.stick.path), storage: RealStorage(), source: courier.source, hub: HubID(keyHash: .sha256([9])), statement: nil, options: Courier.options()
        ).run(nowUnixMilliseconds: 5, random: &random)
        let reports = try await courier.importStick(store).reports
        #expect(reports.count == 2 && reports.contains { $0.problem?.contains("another hub") == true } && reports.contains { $0.isWhole }, "\(reports)")
    }

    /// Whoever copies a header of a node that has joined onto a log of his own has no key that the node attests.
    @Test func aStrangersLogUnderAKnownNodesNameIsNotBegun() async throws {
        let (known, stranger) = (try Courier(segments: Courier.footage(1)), try Courier(segments: Courier.footage(1, seed: 9)))
        struct Posing: BundleSource {
            let source: MemorySource
            let node: NodeID
            var log: LogID { source.log }
            func newestCheckpoint() throws -> SignedCheckpoint? { try source.newestCheckpoint() }
            func forEachBatch(from start: UInt64, to size: UInt64, _ body: (EntryBatch) throws -> Void) throws { try source.forEachBatch(from: start, to: size, body) }
            func waiting() throws -> [SegmentWork] { try source.waiting() }
            func read(_ work: SegmentWork, offset: Int64, count: Int) throws -> [UInt8] { try source.read(work, offset: offset, count: count) }
        }
        _ = try known.export(source: Posing(source: stranger.source, node: known.source.node))
        let store = try known.store()
        let report = try #require(try await known.importStick(store).reports.first)
        #expect(report.problem?.contains("not attested") == true && report.segmentsNew == 0, "\(report)")
        #expect(try !store.hasLog(known.source.node, stranger.source.log))
        #expect(try store.nodeState(known.source.node) == .active)
    }

    /// Two continuations of one log, both signed by the node's key: one came by link, the other by stick.
    @Test(arguments: [1, 3]) func aSecondHistoryOnAStickIsFoundAndNotTaken(shown: Int) async throws {
        let courier = try Courier(segments: Courier.footage(2))
        let store = try courier.store()
        _ = try courier.export()
        _ = try await courier.importStick(store)
        #expect(try store.verifier(courier.source.node, courier.source.log).size == 3)
        // The hub goes on along one history …
        var one = courier.source.sample
        for _ in 0..<2 { try one.append(.boot(BootRecord(software: "one", previousStopWasClean: true))) }
        try one.seal()
        let link = courier.sink(store)
        let header = BundleHeader(
            number: 1, bundle: [UInt8](repeating: 1, count: 16), node: courier.source.node, hub: Courier.hub, log: courier.source.log, madeUnixMilliseconds: 1, firstEntry: 0)
        _ = try await link.begin(header)
        #expect(try await link.entries(Self.wire(one, from: 3)).problem == nil)
        // … and the stick shows another, shorter or longer.
        var two = courier.source.sample
        for _ in 0..<shown { try two.append(.boot(BootRecord(software: "two", previousStopWasClean: false))) }
        try two.seal()
        let stick = courier.sink(store)
        _ = try await stick.begin(header)
        let problem = try await stick.entries(Self.wire(two, from: 3)).problem
        #expect(problem?.status == 422 && problem?.title.contains("second history") == true, "\(String(describing: problem))")
        #expect(try store.nodeState(courier.source.node) == .forked)
        #expect(try store.verifier(courier.source.node, courier.source.log).root == one.frontier.root, "what the hub had stays")
    }

    /// Entries that do not fit, without the node's signature: somebody's forgery stops nobody.
    @Test func aForgedHistoryIsRefusedAndAlarmsNobody() async throws {
        let courier = try Courier(segments: Courier.footage(2))
        let store = try courier.store()
        _ = try courier.export()
        _ = try await courier.importStick(store)
        var forged = courier.source.sample
        for _ in 0..<2 { try forged.append(.boot(BootRecord(software: "forged", previousStopWasClean: true))) }
        try forged.seal(with: try SampleLog.signer(forged.log, 0, 9))
        let sink = courier.sink(store)
        _ = try await sink.begin(
            BundleHeader(number: 1, bundle: [UInt8](repeating: 1, count: 16), node: courier.source.node, hub: Courier.hub, log: courier.source.log, madeUnixMilliseconds: 1, firstEntry: 0))
        #expect(try await sink.entries(Self.wire(forged, from: 0)).problem?.status == 422)
        #expect(try store.nodeState(courier.source.node) == .active)
        #expect(try store.verifier(courier.source.node, courier.source.log).size == 3)
    }

    private static func wire(_ sample: SampleLog, from start: Int) throws -> [UInt8] {
        let checkpoint = try sample.checkpoints.last.orThrow("a checkpoint")
        return FrameCoding.encode(.entries(try EntryBatch(start: UInt64(start), lines: Array(sample.lines[start...]), checkpoint: checkpoint).encoded()))
    }

    @Test func entriesBeyondTheHubsLogAreNamedWithWhatToDo() async throws {
        let courier = try Courier(segments: Courier.footage(2))
        let store = try courier.store()
        let statement = HoldingsStatement(
            hub: Courier.hub, generation: 1, node: courier.source.node, log: courier.source.log, logSize: 1, logRoot: .zero, held: [], level: .stored, issuedUnixMilliseconds: 0)
        _ = try courier.export(statement: statement)
        let report = try #require(try await courier.importStick(store).reports.first)
        #expect(report.problem?.contains("beyond the hub's log") == true && report.problem?.contains("--all-entries") == true, "\(report)")
        var options = Courier.options()
        options.isAllEntries = true
        _ = try courier.export(statement: statement, seed: 2, options: options)
        let both = try await courier.importStick(store)
        #expect(both.reports.count == 2 && both.reports.allSatisfy(\.isWhole), "\(both.reports)")
        #expect(try courier.heldAndTrue(store) == [0, 1])
    }

    /// The hub that serves takes a medium's records at its socket, and the store is its own.
    @Test(.timeLimit(.minutes(1))) func aHubThatServesTakesAStickThroughItsSocket() async throws {
        let courier = try Courier(segments: Courier.footage(4))
        _ = try courier.export()
        let store = try courier.store()
        let desk = BundleDesk(folder: FilePath(courier.hubFolder.path), logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await desk.serve { courier.sink(store) } }
            group.addTask {
                let socket: BundleSocket = try await eventually("the socket", within: .seconds(20)) { try? BundleSocket(folder: FilePath(courier.hubFolder.path)) }
                let work = try await courier.importStick(store, through: socket)
                #expect(work.reports.first?.isWhole == true && work.reports.first?.segmentsNew == 4, "\(work.reports)")
                #expect(work.statements.count == 1)
                throw CancellationError()
            }
            await #expect(throws: CancellationError.self) { try await group.next() }
            group.cancelAll()
        }
        #expect(try courier.heldAndTrue(store) == Set(0..<4))
    }

    // MARK: The way back

    @Test func theStatementIsWrittenForTheWayBackAndTakenOnlyByItsNode() async throws {
        let courier = try Courier(segments: Courier.footage(2))
        _ = try courier.export()
        let store = try courier.store()
        let work = try await courier.importStick(store)
        let (folder, signed) = try #require(work.statements.first)
        let path = try BundleReceipt.write(signed, nodeFolder: folder, to: FilePath(courier.stick.path), storage: RealStorage())
        let read = try SignedStatement(receiptFile: RealStorage().read(path))
        #expect(read == signed)
        let source = courier.source
        func accept(
            _ signed: SignedStatement, hub: HubID = Courier.hub, key: NoteKey? = nil, node: NodeID? = nil, log: LogID? = nil, current: HoldingsStatement? = nil,
            root: ContentHash? = source.sample.frontier.root
        ) throws -> HoldingsStatement {
            try signed.accepted(hub: hub, hubKey: key ?? store.hubKey, node: node ?? source.node, log: log ?? source.log, current: current) { _ in root }
        }
        #expect(try accept(read).heldByStream.values.first?.count == 2)
        let stranger = try NoteSigner(name: "fieldpost.hub/test", algorithm: .cosignature).orThrow("a signer").verifier
        #expect(throws: ReceiptFault.wrongKey) { try accept(read, key: stranger) }
        #expect(throws: ReceiptFault.otherHub) { try accept(read, hub: HubID(keyHash: .sha256([8]))) }
        #expect(throws: ReceiptFault.otherNode) { try accept(read, node: NodeID(keyHash: .sha256([8]))) }
        #expect(throws: ReceiptFault.otherLog) { try accept(read, log: LogID(String(repeating: "0f", count: 16))) }
        #expect(throws: ReceiptFault.forked(hubSize: 3)) { try accept(read, root: .zero) }
        #expect(throws: ReceiptFault.forked(hubSize: 3)) { try accept(read, root: nil) }
        var newer = try accept(read)
        #expect(try accept(read, current: newer).logSize == 3, "the same once more does no harm")
        newer.issuedUnixMilliseconds += 1
        #expect(throws: ReceiptFault.outdated) { try accept(read, current: newer) }
        newer = try accept(read)
        newer.generation += 1
        newer.logSize = 0
        #expect(throws: ReceiptFault.outdated) { try accept(read, current: newer) }
        var older = try accept(read)
        older.generation = 0
        older.logSize = 1_000
        #expect(try accept(read, current: older).generation == 1, "a new generation counts, however short its log")
        // Every changed byte of the file is found.
        let bytes = try RealStorage().read(path)
        for index in bytes.indices {
            var changed = bytes
            changed[index] ^= 1
            #expect(throws: ReceiptFault.self, "byte \(index)") {
                let statement = try accept(try SignedStatement(receiptFile: changed))
                // The text around it may change where it means nothing.
                if statement == (try accept(read)) { throw ReceiptFault.unreadable }
            }
        }
    }
}
