import EvidenceLog
import GRDB
import HubStore
import JournalFixtures
import LogFixtures
import RecordingModel
import SyncProtocol
import SystemPackage

/// Nodes and one hub in one process, in virtual time. At each step something happens, as the seed has it; what must hold
/// is judged after each, and at the end, when everything has been well for long enough.
struct Simulation {
    struct Tally: Sendable {
        var steps = 0
        var segments = 0
        var released = 0
        var evicted = 0
        var hubCrashes = 0
        var hubRestores = 0
        var nodeLives = 0
        var contacts = 0
        var lateConnections = 0
        var replays = 0
        var diskAnswers = 0

        mutating func add(_ other: Tally) {
            steps += other.steps
            segments += other.segments
            released += other.released
            evicted += other.evicted
            hubCrashes += other.hubCrashes
            hubRestores += other.hubRestores
            nodeLives += other.nodeLives
            contacts += other.contacts
            lateConnections += other.lateConnections
            replays += other.replays
            diskAnswers += other.diskAnswers
        }
    }

    private let hub: SimulatedHub
    private let nodes: [SimulatedNode]
    private var random: SeededNumbers
    private var loss: [Double] = []
    private var nowMilliseconds: Int64 = 0
    /// Cut at the node, and still being worked on by the hub.
    private var late: [SimulatedConnection] = []
    private(set) var tally = Tally()

    init(seed: UInt64, nodes count: Int) throws {
        random = SeededNumbers(seed: seed)
        hub = try SimulatedHub(seed: random.next())
        let hub = hub
        var random = random
        nodes = try (0..<count).map { try SimulatedNode(number: $0, seed: random.next(), hub: hub) }
        for node in nodes { try hub.enrol(node.id, name: "node \(node.number)") }
        self.random = random
        loss = nodes.map { _ in Self.loss(&self.random) }
    }

    /// Half of the links are good; the others lose from a tenth of a percent to 99 %.
    private static func loss(_ random: inout SeededNumbers) -> Double {
        guard Bool.random(using: &random) else { return 0 }
        return [0.001, 0.01, 0.05, 0.2, 0.5, 0.9, 0.99].randomElement(using: &random) ?? 0
    }

    var failures: [String] { nodes.flatMap(\.failures) }

    mutating func run(steps: Int) throws {
        for _ in 0..<steps where failures.isEmpty {
            nowMilliseconds += .random(in: 0...20_000, using: &random)
            let index = Int.random(in: 0..<nodes.count, using: &random)
            try happen(to: nodes[index], index)
            try happenToHub()
            try serveLate()
            tally.steps += 1
        }
        if failures.isEmpty { try settle() }
        tally.segments = nodes.reduce(0) { $0 + $1.logged.count }
        tally.released = nodes.reduce(0) { $0 + $1.released.count }
        tally.evicted = nodes.reduce(0) { $0 + $1.evicted.count }
        tally.nodeLives = nodes.reduce(0) { $0 + $1.lives }
        tally.contacts = nodes.reduce(0) { $0 + $1.contacts }
        tally.hubCrashes = hub.crashes
        tally.hubRestores = hub.restores
        tally.diskAnswers = hub.answers503
    }

    // MARK: What happens

    private mutating func happen(to node: SimulatedNode, _ index: Int) throws {
        if !node.isUp { if Int.random(in: 0..<2, using: &random) == 0 { node.start() } }
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<35: node.record()
        case 35..<88: try contact(node, index, rounds: .random(in: 1...8, using: &random))
        case 88..<90: loss[index] = Self.loss(&random)
        case 90..<92: node.cutPower()
        case 92..<95: node.breakDisk()
        case 95: node.stop()
        case 96: node.setClock()
        case 97: node.passHour()
        case 98: drop(node)
        default: node.heal()
        }
        node.noteDeath()
        try node.observe(hub)
    }

    private mutating func contact(_ node: SimulatedNode, _ index: Int, rounds: Int) throws {
        node.dial()
        if Int.random(in: 0..<4, using: &random) == 0 { node.beat() }
        if Int.random(in: 0..<4, using: &random) == 0 { node.lookAgain() }
        for _ in 0..<rounds {
            guard let connection = node.connection else { return }
            _ = node.talk(steps: .random(in: 1...12, using: &random), nowMilliseconds: nowMilliseconds)
            node.noteDeath()
            try node.observe(hub)
            connection.carry(loss: loss[index], &random)
            // The hub may be slower than the link.
            for _ in 0..<Int.random(in: 0...14, using: &random) { try serve(connection) }
            if connection.isOver, connection.answers.isEmpty { connection.cut() }
            if connection.isCut {
                keepLate(connection)
                node.hangUp()
                return
            }
            nowMilliseconds += .random(in: 0...2_000, using: &random)
        }
    }

    private func serve(_ connection: SimulatedConnection) throws {
        let crashes = hub.crashes
        try hub.serve(connection, nowUnixMilliseconds: nowMilliseconds)
        if hub.crashes > crashes { dropAll() }
    }

    /// The link goes away under the node; what the hub's kernel has may be acted on later, beside the next connection.
    private mutating func drop(_ node: SimulatedNode) {
        if let connection = node.connection { keepLate(connection) }
        node.hangUp()
    }

    private mutating func keepLate(_ connection: SimulatedConnection) {
        connection.cut()
        guard late.count < 8 else { return }
        if !connection.isOver, !connection.atHub.isEmpty {
            tally.lateConnections += 1
            late.append(connection)
        }
        // And the last push once more, from its beginning, beside whatever the node sends now.
        if case .beginPush? = connection.recorded.first, Int.random(in: 0..<4, using: &random) == 0 {
            let again = SimulatedConnection(node: connection.node)
            again.cut()
            again.atHub = connection.recorded
            late.append(again)
            tally.replays += 1
        }
    }

    private mutating func serveLate() throws {
        guard !late.isEmpty else { return }
        let place = Int.random(in: 0..<late.count, using: &random)
        let connection = late[place]
        for _ in 0..<Int.random(in: 0...6, using: &random) { try serve(connection) }
        late.removeAll { $0.isOver || $0.atHub.isEmpty }
    }

    /// A hub that has gone hears nothing more on any connection.
    private func dropAll() {
        for connection in late { connection.isOver = true }
        for node in nodes {
            node.connection?.isOver = true
            node.connection?.cut()
        }
    }

    private mutating func happenToHub() throws {
        if hub.isDown, Int.random(in: 0..<3, using: &random) == 0 { hub.isDown = false }
        switch Int.random(in: 0..<400, using: &random) {
        case 0..<6: hub.storage.cutPower(after: .random(in: 0...30, using: &random))
        case 6..<10:
            try hub.crash()
            dropAll()
        case 10..<18: hub.storage.failNext(after: .random(in: 0...12, using: &random), Bool.random(using: &random) ? .ioError : .noSpace)
        case 18..<21:
            try hub.backUp()
            dropAll()
        case 21..<24:
            for node in nodes { try node.observe(hub) }
            try hub.restore()
            dropAll()
        case 24..<26:
            for node in nodes { try node.observe(hub) }
            try hub.loseMedia(&random)
            dropAll()
        default: break
        }
    }

    // MARK: The end

    private mutating func settle() throws {
        hub.isDown = false
        hub.storage.failNoMore()
        late = []
        try hub.crash()
        hub.isDown = false
        dropAll()
        for node in nodes {
            node.stop()
            node.heal()
            for _ in 0..<3 where !node.isUp { node.start() }
            node.noteDeath()
            if !node.isUp { node.start() }
            try node.observe(hub)
            // What was set aside is tried again after an hour.
            for _ in 0..<60 where !node.isSettled {
                nowMilliseconds += 600_000
                node.dial()
                node.beat()
                for _ in 0..<400 {
                    guard let connection = node.connection else { break }
                    let isMoving = node.talk(steps: 32, nowMilliseconds: nowMilliseconds)
                    try node.observe(hub)
                    connection.carry(loss: 0, &random)
                    while !connection.atHub.isEmpty, !connection.isOver { try serve(connection) }
                    if connection.isOver, connection.answers.isEmpty { node.hangUp() }
                    if !isMoving, connection.answers.isEmpty { break }
                }
            }
            try node.observe(hub)
        }
        for node in nodes { try node.judgeEnd(hub) }
        try judgeHub()
    }

    private func judgeHub() throws {
        let first = nodes[0]
        let report = try hub.report()
        for fault in report.faults { first.fail("the hub's own report: \(fault)") }
        let evicted = nodes.reduce(0) { $0 + $1.evicted.count }
        // A blob whose segment was given up at the node between the blob and the catalogue stays unclaimed.
        if report.duplicateBlobs > evicted { first.fail("\(report.duplicateBlobs) blobs that nobody claims") }
        let (rows, distinct) = try hub.store.catalogue.read { db in
            (
                try Int.fetchOne(db, sql: "SELECT COUNT(*) FROM segments") ?? 0,
                try Int.fetchOne(db, sql: "SELECT COUNT(*) FROM (SELECT DISTINCT node, log, camera, kind, sequence FROM segments)") ?? 0
            )
        }
        if rows != distinct { first.fail("\(rows - distinct) segments are catalogued twice") }
        let forked = try hub.store.catalogue.read { try Int.fetchOne($0, sql: "SELECT COUNT(*) FROM forks") ?? 0 }
        if forked != 0 { first.fail("\(forked) forks, and nobody was copied") }
    }
}
