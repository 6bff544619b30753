import GRDB

/// What people did and saw, with who and when. Rows are only ever added.
package struct AuditRecord: Hashable, Sendable {
    package enum Action: String, Sendable {
        case signIn = "sign-in"
        case signInFailed = "sign-in-failed"
        case signInLimited = "sign-in-limited"
        case signOut = "sign-out"
        case setPassword = "set-password"
        case viewTimeline = "view-timeline"
        case viewSegment = "view-segment"
        case makeLink = "make-link"
        case fetchProof = "fetch-proof"
        case requestFootage = "request-footage"
        case withdrawRequest = "withdraw-request"
    }
    package var atUnixMilliseconds: Int64
    package var user: String
    package var address: String
    package var action: String
    package var object: String
}

extension Accounts {
    package func record(user: String, address: String, action: AuditRecord.Action, object: String, nowUnixMilliseconds: Int64) async throws {
        try await database.write { database in
            try database.execute(
                sql: "INSERT INTO audit (atUnixMilliseconds, user, address, action, object) VALUES (?, ?, ?, ?, ?)",
                arguments: [nowUnixMilliseconds, user, address, action.rawValue, object])
        }
    }

    /// The newest records first.
    package func auditRecords(limit: Int = 100) async throws -> [AuditRecord] {
        try await database.read { database in
            try Row.fetchAll(database, sql: "SELECT * FROM audit ORDER BY id DESC LIMIT ?", arguments: [limit]).map { row in
                AuditRecord(atUnixMilliseconds: row["atUnixMilliseconds"], user: row["user"], address: row["address"], action: row["action"], object: row["object"])
            }
        }
    }
}
