import Crypto
import FoundationEssentials
import GRDB
import RecordingModel

/// 256 random bits in base64url. The hub keeps only their SHA-256.
package struct SessionToken: Hashable, Sendable, CustomStringConvertible {
    package let text: String

    package static func random() -> SessionToken {
        SessionToken(bytes: SymmetricKey(size: .bits256).withUnsafeBytes { Array($0) })
    }

    private init(bytes: [UInt8]) {
        text = Data(bytes).base64EncodedString().replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }

    /// Nil for what no token looks like, so that garbage never reaches the database.
    package init?(_ text: String) {
        guard text.utf8.count == 43, text.utf8.allSatisfy({ byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"): true
            default: false
            }
        }) else { return nil }
        self.text = text
    }

    /// What a link to footage names its session by. It opens nothing: the token cannot be found from it.
    package var reference: String { ContentHash(storedHash)?.hex ?? "" }

    var storedHash: [UInt8] { Array(SHA256.hash(data: Array(text.utf8))) }

    /// A token in a log or an error is a leak.
    package var description: String { "SessionToken(…)" }
}

package struct Session: Hashable, Sendable {
    package enum Kind: String, Sendable {
        /// A cookie: ends 30 minutes after its last use, and 12 hours after sign-in.
        case browser
        /// A bearer token of the command line: 30 days.
        case api

        var idleMilliseconds: Int64 { self == .browser ? 30 * 60_000 : absoluteMilliseconds }
        var absoluteMilliseconds: Int64 { self == .browser ? 12 * 3_600_000 : 30 * 86_400_000 }
    }
    package var user: String
    package var role: UserRole
    package var kind: Kind
    package var mustChangePassword: Bool
}

extension Accounts {
    package enum SignIn: Sendable, Hashable {
        /// With `mustChangePassword` the session is good for nothing but setting a password.
        case ok(SessionToken, mustChangePassword: Bool)
        /// Wrong name or wrong password: nobody learns which.
        case refused
        case tooMany(retryAfterSeconds: Int)
        case busy
    }

    private static let sessionsPerUserMax = 64

    package func signIn(name: String, password: String, address: String, kind: Session.Kind, nowUnixMilliseconds now: Int64) async throws -> SignIn {
        if let refusal = limits.admit(name: name, address: address, nowUnixMilliseconds: now) {
            // Once for each account or address and minute: who knocks without end must not fill the disk.
            if refusal.isFirst {
                try await record(user: Self.auditable(name), address: address, action: .signInLimited, object: kind.rawValue, nowUnixMilliseconds: now)
            }
            return .tooMany(retryAfterSeconds: refusal.retryAfterSeconds)
        }
        let credential = try await credential(of: name)
        let isRight: Bool
        do {
            // An unknown name costs the same derivation as a known one.
            isRight = try await hasher.verify(password, against: credential?.stored)
        } catch Fault.busy {
            return .busy
        }
        // An overdue one-time password is a wrong password, also in how long the answer takes.
        guard isRight, let credential, credential.isValid(at: now) else {
            try await record(user: Self.auditable(name), address: address, action: .signInFailed, object: kind.rawValue, nowUnixMilliseconds: now)
            return .refused
        }
        limits.forgive(name: name)
        let token = SessionToken.random()
        let isMade = try await database.write { database -> Bool in
            // The password was right a moment ago; if it was used up or reset meanwhile, no session comes of it.
            guard try Data.fetchOne(database, sql: "SELECT hash FROM user WHERE name = ?", arguments: [name]) == Data(credential.stored.hash) else { return false }
            try database.execute(
                sql: "INSERT INTO session VALUES (?, ?, ?, ?, ?)", arguments: [Data(token.storedHash), name, kind.rawValue, now, now])
            // Old sessions of this user go, so that the table is bounded.
            try database.execute(
                sql: "DELETE FROM session WHERE user = ?1 AND tokenHash NOT IN (SELECT tokenHash FROM session WHERE user = ?1 ORDER BY lastUsedUnixMilliseconds DESC LIMIT ?2)",
                arguments: [name, Self.sessionsPerUserMax])
            return true
        }
        guard isMade else { return .refused }
        try await record(user: name, address: address, action: .signIn, object: kind.rawValue, nowUnixMilliseconds: now)
        return .ok(token, mustChangePassword: credential.mustChange)
    }

    /// Whether this is the user's password, under the same limits as a sign-in. For changing one's own password.
    package func isPassword(_ password: String, of name: String, address: String, nowUnixMilliseconds now: Int64) async throws -> Bool {
        guard limits.admit(name: name, address: address, nowUnixMilliseconds: now) == nil else { throw Fault.busy }
        let isRight = try await hasher.verify(password, against: try await credential(of: name)?.stored)
        if isRight { limits.forgive(name: name) }
        return isRight
    }

    package func session(forToken token: SessionToken, nowUnixMilliseconds now: Int64) async throws -> Session? {
        let hash = Data(token.storedHash)
        guard let found = try await storedSession(hash) else { return nil }
        let kind = found.session.kind
        guard now - found.created < kind.absoluteMilliseconds else {
            try await signOut(token)
            return nil
        }
        // The row of an idle session stays: links that it made last as long as it could have lasted.
        guard now - found.lastUsed < kind.idleMilliseconds, found.isUsable(at: now) else { return nil }
        // Once a minute is enough to know that a session is in use, and spares a write for every request.
        if now - found.lastUsed > 60_000 {
            try await database.write { try $0.execute(sql: "UPDATE session SET lastUsedUnixMilliseconds = ? WHERE tokenHash = ?", arguments: [now, hash]) }
        }
        return found.session
    }

    /// The session behind a link, if nobody signed out of it, reset the password or removed the user since. That it
    /// rests does not end it: VLC plays on when the browser is closed.
    package func session(forReference reference: String, of user: String, nowUnixMilliseconds now: Int64) async throws -> Session? {
        guard let hash = ContentHash(reference), let found = try await storedSession(Data(hash.bytes)), found.session.user == user,
            now - found.created < found.session.kind.absoluteMilliseconds, !found.session.mustChangePassword
        else { return nil }
        return found.session
    }

    private struct StoredSession {
        var session: Session
        var created: Int64
        var lastUsed: Int64
        var oneTimeUntil: Int64?

        func isUsable(at now: Int64) -> Bool { !session.mustChangePassword || now < oneTimeUntil ?? .min }
    }

    private func storedSession(_ hash: Data) async throws -> StoredSession? {
        try await database.read { database -> StoredSession? in
            let row = try Row.fetchOne(
                database,
                sql: """
                    SELECT session.user, session.kind, session.createdUnixMilliseconds, session.lastUsedUnixMilliseconds, user.role, user.mustChangePassword,
                        user.oneTimeUntilUnixMilliseconds
                    FROM session JOIN user ON user.name = session.user WHERE tokenHash = ?
                    """, arguments: [hash])
            guard let row, let kind = Session.Kind(rawValue: row["kind"]), let role = UserRole(rawValue: row["role"]) else { return nil }
            let session = Session(user: row["user"], role: role, kind: kind, mustChangePassword: row["mustChangePassword"])
            return StoredSession(
                session: session, created: row["createdUnixMilliseconds"], lastUsed: row["lastUsedUnixMilliseconds"], oneTimeUntil: row["oneTimeUntilUnixMilliseconds"])
        }
    }

    struct Credential {
        var stored: PasswordHasher.Stored
        var mustChange: Bool
        var oneTimeUntil: Int64?

        func isValid(at now: Int64) -> Bool { !mustChange || now < oneTimeUntil ?? .min }
    }

    func credential(of name: String) async throws -> Credential? {
        try await database.read { database -> Credential? in
            let row = try Row.fetchOne(
                database, sql: "SELECT hash, salt, scryptRounds, mustChangePassword, oneTimeUntilUnixMilliseconds FROM user WHERE name = ?", arguments: [name])
            return row.map { row in
                let stored = PasswordHasher.Stored(hash: Array(row["hash"] as Data), salt: Array(row["salt"] as Data), rounds: row["scryptRounds"])
                return Credential(stored: stored, mustChange: row["mustChangePassword"], oneTimeUntil: row["oneTimeUntilUnixMilliseconds"])
            }
        }
    }

    package func signOut(_ token: SessionToken) async throws {
        let hash = Data(token.storedHash)
        try await database.write { try $0.execute(sql: "DELETE FROM session WHERE tokenHash = ?", arguments: [hash]) }
    }

    /// What somebody typed as a name may be a password; only what could be a name is written down.
    private static func auditable(_ name: String) -> String { isValidName(name) ? name : "?" }
}
