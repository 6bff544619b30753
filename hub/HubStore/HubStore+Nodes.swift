import EvidenceLog
import FoundationEssentials
import GRDB
import Logging
import RecordingModel
import SyncProtocol

/// What a join did.
package enum EnrolOutcome: Hashable, Sendable {
    case enrolled(name: String)
    /// Unknown, expired or used by another node: a peer is not told which.
    case refused
}

extension HubStore {
    /// Keeps the hash of a join token's secret.
    package func addJoinToken(secretHash: ContentHash, name: String, expiresUnixSeconds: Int64) throws {
        try catalogue.write { db in
            try db.execute(
                sql: "INSERT INTO join_tokens (secret_hash, name, expires_s) VALUES (?, ?, ?)",
                arguments: [secretHash.hex, name, expiresUnixSeconds])
        }
    }

    package func nodeName(taken name: String) throws -> Bool {
        try catalogue.read { try Bool.fetchOne($0, sql: "SELECT EXISTS (SELECT 1 FROM nodes WHERE name = ?)", arguments: [name]) ?? false }
    }

    /// Uses up a token for the node that shows it. The same node may ask again after a lost answer.
    package func enrol(_ node: NodeID, secretHash: ContentHash, nowUnixMilliseconds now: Int64) throws -> EnrolOutcome {
        try catalogue.write { db in
            guard let row = try Row.fetchOne(db, sql: "SELECT name, expires_s, used_by FROM join_tokens WHERE secret_hash = ?", arguments: [secretHash.hex])
            else { return .refused }
            let name: String = row["name"]
            if let usedBy: String = row["used_by"] {
                return usedBy == node.description ? .enrolled(name: name) : .refused
            }
            guard now / 1000 < row["expires_s"] as Int64 else { return .refused }
            if try Bool.fetchOne(db, sql: "SELECT EXISTS (SELECT 1 FROM nodes WHERE id = ? OR name = ?)", arguments: [node.description, name]) == true {
                return .refused
            }
            try db.execute(sql: "UPDATE join_tokens SET used_by = ?, used_ms = ? WHERE secret_hash = ?", arguments: [node.description, now, secretHash.hex])
            try db.execute(
                sql: "INSERT INTO nodes (id, name, state, enrolled_ms) VALUES (?, ?, 'active', ?)", arguments: [node.description, name, now])
            return .enrolled(name: name)
        }
    }

    /// Nil for a key that never joined.
    package func nodeState(_ node: NodeID) throws -> NodeSummary.State? {
        try catalogue.read { db in
            try String.fetchOne(db.cachedStatement(sql: "SELECT state FROM nodes WHERE id = ?"), arguments: [node.description]).flatMap(NodeSummary.State.init)
        }
    }

    /// Suspends a node (stolen, sold) or lets it in again. What it sent before stays.
    /// - Returns: false when no node has that name.
    package func setState(_ state: NodeSummary.State, ofNodeNamed name: String) throws -> Bool {
        try catalogue.write { db in
            try db.execute(sql: "UPDATE nodes SET state = ? WHERE name = ?", arguments: [state.rawValue, name])
            return db.changesCount == 1
        }
    }

    package func session(of node: NodeID) throws -> UInt64 {
        try catalogue.read { db in
            UInt64(bitPattern: try Int64.fetchOne(db, sql: "SELECT session FROM nodes WHERE id = ?", arguments: [node.description]) ?? 0)
        }
    }

    /// Takes a hello: raises the session, notes the status, begins a log that is new, and answers with what the hub has.
    /// - Throws: `Problem` 409 for a session that does not rise, 422 for a second history of a log.
    package func hello(_ request: HelloRequest, from node: NodeID, grant: Grant = HubStore.grant, nowUnixMilliseconds now: Int64) throws -> HelloReply {
        guard let version = ProtocolVersion.supported.first(where: request.versions.contains) else {
            throw Problem(status: 400, title: "No common protocol version.", detail: "This hub speaks \(ProtocolVersion.supported).", field: "versions")
        }
        guard request.status.isPlausible, request.backlog.isPlausible, request.logSize <= Plausibility.sequenceMax, request.session <= UInt64(Int64.max) else {
            throw Problem(status: 400, title: "The status holds a time, length or count that cannot be.", field: "status")
        }
        var status = request.status
        status.sync = nil
        try catalogue.write { [status] db in
            let known = UInt64(bitPattern: try Int64.fetchOne(db, sql: "SELECT session FROM nodes WHERE id = ?", arguments: [node.description]) ?? 0)
            guard request.session > known else {
                throw Problem(status: 409, title: "The session counter must rise.", detail: "The hub has seen \(known).", field: "\(known)")
            }
            try db.execute(
                sql: "UPDATE nodes SET session = ?, current_log = ?, last_contact_ms = ?, status = ?, clock_offset_ms = ? WHERE id = ?",
                arguments: [
                    Int64(bitPattern: request.session), request.log.description, now, try json(status),
                    request.status.clock.unixMilliseconds - now, node.description,
                ])
            try Self.noteReport(db, request.status.sync, of: node, nowUnixMilliseconds: now)
            try Self.noteContact(db, node, nowUnixMilliseconds: now)
            if try Row.fetchOne(db, sql: "SELECT 1 FROM logs WHERE node = ? AND log = ?", arguments: [node.description, request.log.description]) == nil {
                try db.execute(
                    sql: "INSERT INTO logs (node, log, verifier, entry_bytes, checkpoint_bytes, catalogued) VALUES (?, ?, ?, 0, 0, ?)",
                    arguments: [node.description, request.log.description, try json(LogVerifier(node: node, log: request.log)), Self.catalogueVersion])
            }
        }
        let verifier = try self.verifier(node, request.log)
        try refuseFork(request, verifier: verifier, node: node, now: now)
        return HelloReply(
            version: version, hubUnixMilliseconds: now, logSize: verifier.size, logRoot: verifier.root,
            statement: try statement(for: node, log: request.log, nowUnixMilliseconds: now), partials: try partials(node, request.log),
            grant: grant, wants: try self.wants(node: node, log: request.log, nowUnixMilliseconds: now).unlessNone)
    }

    /// How much a node may send before the hub answers, at most.
    package static let grant = Grant(bytes: 256 << 20, seconds: 30)

    /// A log never gets shorter, and one size has one root. A node that shows otherwise was copied or restored:
    /// both histories are kept, nothing more is taken, and an operator is told.
    private func refuseFork(_ request: HelloRequest, verifier: LogVerifier, node: NodeID, now: Int64) throws {
        let isShorter = request.logSize < verifier.size
        let isOther = request.checkpoint.map { $0.checkpoint.size == verifier.size && $0.checkpoint.root != verifier.root } ?? false
        // A longer copy's root at the hub's size only the node can tell.
        let isToldByNode = request.conflictLogSize == verifier.size
        guard isShorter || isOther || isToldByNode else { return }
        try noteFork(of: node, request.log, shown: request.checkpoint?.note.encoded ?? "size \(request.logSize)", now: now)
        logger.error("node shows a second history of its log", metadata: ["node": "\(node)", "hub_size": "\(verifier.size)", "node_size": "\(request.logSize)"])
        throw Problem(
            status: 422, title: "This log has a second history.", detail: "The hub holds \(verifier.size) entries that this node does not show; the node was copied or restored.",
            field: "log")
    }

    /// Nothing more is taken of the node; what it showed is kept.
    func noteFork(of node: NodeID, _ log: LogID, shown: String, now: Int64) throws {
        try catalogue.write { db in
            try db.execute(sql: "UPDATE nodes SET state = 'forked' WHERE id = ?", arguments: [node.description])
            try db.execute(
                sql: "INSERT INTO forks (node, log, seen_ms, checkpoint) VALUES (?, ?, ?, ?)", arguments: [node.description, log.description, now, shown])
        }
    }
}
