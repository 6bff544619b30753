import FoundationEssentials
import GRDB

/// People who may use this hub: their passwords, their sessions, and the audit of what they did and saw.
/// Every call takes the time, so that a test can run the clock.
package struct Accounts: Sendable {
    package static let passwordLengthMin = 12
    package static let passwordBytesMax = 512
    /// A one-time password lies in a mail or on a note: it is good for three days.
    package static let oneTimeMilliseconds: Int64 = 72 * 3_600_000

    let database: any DatabaseWriter
    let hasher: PasswordHasher
    let limits: SignInLimits

    /// - Parameter cost: what a password guess costs; lower it in tests only.
    package init(catalogue: any DatabaseWriter, cost: ScryptCost = .standard) {
        database = catalogue
        hasher = PasswordHasher(cost: cost)
        limits = SignInLimits()
    }

    package static func registerMigrations(_ migrator: inout DatabaseMigrator) {
        migrator.registerMigration("accounts-1") { database in
            try database.execute(sql: """
                CREATE TABLE user (
                    name TEXT PRIMARY KEY NOT NULL,
                    role TEXT NOT NULL,
                    hash BLOB NOT NULL,
                    salt BLOB NOT NULL,
                    scryptRounds INTEGER NOT NULL,
                    mustChangePassword INTEGER NOT NULL,
                    createdUnixMilliseconds INTEGER NOT NULL
                ) STRICT;
                CREATE TABLE session (
                    tokenHash BLOB PRIMARY KEY NOT NULL,
                    user TEXT NOT NULL REFERENCES user (name) ON DELETE CASCADE,
                    kind TEXT NOT NULL,
                    createdUnixMilliseconds INTEGER NOT NULL,
                    lastUsedUnixMilliseconds INTEGER NOT NULL
                ) STRICT;
                CREATE INDEX sessionByUser ON session (user);
                CREATE TABLE audit (
                    id INTEGER PRIMARY KEY AUTOINCREMENT,
                    atUnixMilliseconds INTEGER NOT NULL,
                    user TEXT NOT NULL,
                    address TEXT NOT NULL,
                    action TEXT NOT NULL,
                    object TEXT NOT NULL
                ) STRICT;
                """)
        }
        migrator.registerMigration("accounts-2") { database in
            try database.execute(sql: "ALTER TABLE user ADD COLUMN oneTimeUntilUnixMilliseconds INTEGER")
            // When older one-time passwords were given out is known only for new users; all get their time from there.
            try database.execute(
                sql: "UPDATE user SET oneTimeUntilUnixMilliseconds = createdUnixMilliseconds + ? WHERE mustChangePassword = 1",
                arguments: [oneTimeMilliseconds])
        }
    }

    package enum Fault: Error, Hashable, CustomStringConvertible {
        case invalidName
        case nameTaken
        case unknownUser
        /// A sentence that says what a password must be.
        case unfitPassword(String)
        /// The session that asked has ended meanwhile, or its one-time password has been used up.
        case sessionOver
        case busy

        package var description: String {
            switch self {
            case .invalidName: "a user's name is 1 to 64 characters of a-z, 0-9, '.', '_', '-' and '@', beginning with a letter or digit"
            case .nameTaken: "a user of this name exists already"
            case .unknownUser: "there is no such user"
            case .unfitPassword(let sentence): sentence
            case .sessionOver: "the session is over; sign in again"
            case .busy: "too many sign-ins at once; try again in a minute"
            }
        }
    }

    /// Makes a user and returns the one-time password, which must be changed at the first sign-in.
    package func createUser(name: String, role: UserRole = .administrator, nowUnixMilliseconds: Int64) async throws -> String {
        guard Self.isValidName(name) else { throw Fault.invalidName }
        let password = Self.oneTimePassword()
        let hashed = try await hasher.hash(password)
        let cost = hasher.cost
        try await database.write { database in
            guard try Int.fetchOne(database, sql: "SELECT 1 FROM user WHERE name = ?", arguments: [name]) == nil else { throw Fault.nameTaken }
            try database.execute(
                sql: """
                    INSERT INTO user (name, role, hash, salt, scryptRounds, mustChangePassword, createdUnixMilliseconds, oneTimeUntilUnixMilliseconds)
                    VALUES (?, ?, ?, ?, ?, 1, ?, ?)
                    """,
                arguments: [
                    name, role.rawValue, Data(hashed.hash), Data(hashed.salt), cost.rounds, nowUnixMilliseconds, nowUnixMilliseconds + Self.oneTimeMilliseconds,
                ])
        }
        return password
    }

    package func hasUsers() async throws -> Bool {
        try await database.read { try Bool.fetchOne($0, sql: "SELECT EXISTS (SELECT 1 FROM user)") ?? false }
    }

    /// Gives the user a new one-time password and ends all of the user's sessions.
    /// - Parameter now: the operator's command has no clock of its own; everybody else passes theirs.
    package func resetPassword(name: String, nowUnixMilliseconds now: Int64 = Int64(Date().timeIntervalSince1970 * 1_000)) async throws -> String {
        let password = Self.oneTimePassword()
        try await store(password: password, for: name, oneTimeUntil: now + Self.oneTimeMilliseconds)
        return password
    }

    /// Sets the user's own password. All other sessions of the user end.
    /// - Parameter isOneTimeSpent: the session came with a one-time password, which this uses up: of two such
    ///   requests at the same moment only one succeeds, and the other is told that its session is over.
    package func setPassword(name: String, to password: String, keeping token: SessionToken? = nil, isOneTimeSpent: Bool = false) async throws {
        if let objection = Self.objection(to: password, name: name) { throw Fault.unfitPassword(objection) }
        if isOneTimeSpent, try await hasher.verify(password, against: try await credential(of: name)?.stored) {
            throw Fault.unfitPassword("The new password must not be the one-time password.")
        }
        try await store(password: password, for: name, oneTimeUntil: nil, keeping: token, isOneTimeSpent: isOneTimeSpent)
    }

    private func store(
        password: String, for name: String, oneTimeUntil: Int64?, keeping token: SessionToken? = nil, isOneTimeSpent: Bool = false
    ) async throws {
        let hashed = try await hasher.hash(password)
        let cost = hasher.cost
        let kept = token.map { Data($0.storedHash) } ?? Data()
        let isBound = token != nil
        try await database.write { database in
            // Deriving takes a while; a session that ended meanwhile must not set a password any more.
            if isBound, try Int.fetchOne(database, sql: "SELECT 1 FROM session WHERE tokenHash = ? AND user = ?", arguments: [kept, name]) == nil {
                throw Fault.sessionOver
            }
            if isOneTimeSpent, try Int.fetchOne(database, sql: "SELECT 1 FROM user WHERE name = ? AND mustChangePassword = 1", arguments: [name]) == nil {
                throw Fault.sessionOver
            }
            try database.execute(
                sql: "UPDATE user SET hash = ?, salt = ?, scryptRounds = ?, mustChangePassword = ?, oneTimeUntilUnixMilliseconds = ? WHERE name = ?",
                arguments: [Data(hashed.hash), Data(hashed.salt), cost.rounds, oneTimeUntil != nil, oneTimeUntil, name])
            guard database.changesCount == 1 else { throw Fault.unknownUser }
            try database.execute(sql: "DELETE FROM session WHERE user = ? AND tokenHash <> ?", arguments: [name, kept])
        }
    }

    package static func isValidName(_ name: String) -> Bool {
        func isAlphanumeric(_ byte: UInt8) -> Bool {
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
        }
        let utf8 = name.utf8
        guard (1...64).contains(utf8.count), let first = utf8.first, isAlphanumeric(first) else { return false }
        return utf8.allSatisfy { isAlphanumeric($0) || "._-@".utf8.contains($0) }
    }

    /// Length is what counts (ASVS 5.0, 6.2): no rules about kinds of characters.
    static func objection(to password: String, name: String) -> String? {
        if password.count < passwordLengthMin { return "The new password needs at least \(passwordLengthMin) characters." }
        if password.utf8.count > passwordBytesMax { return "The new password is longer than \(passwordBytesMax) bytes." }
        if Set(password).count < 4 { return "The new password repeats the same few characters." }
        let lowered = password.lowercased()
        if lowered.contains("fieldpost") || (name.count > 3 && lowered.contains(name)) {
            return "The new password must not hold your name or the word fieldpost."
        }
        return nil
    }

    /// Four groups of five letters and digits that cannot be taken for one another: 94 bits.
    private static func oneTimePassword() -> String {
        let letters = Array("abcdefghjkmnpqrstuvwxyz23456789")
        var generator = SystemRandomNumberGenerator()
        return (0..<4).map { _ in
            String((0..<5).map { _ in letters[Int.random(in: letters.indices, using: &generator)] })
        }.joined(separator: "-")
    }
}

/// What a user may do. Finer roles come with scopes; every check goes through `mayView` and its like.
package enum UserRole: String, Sendable, Codable {
    case administrator
    /// Sees nodes and their state, but no footage.
    case maintainer

    package var mayViewFootage: Bool { self == .administrator }
    /// Asks nodes for footage, forbids that it is given up, and withdraws either; legal holds too.
    package var mayRequestFootage: Bool { self == .administrator }
}
