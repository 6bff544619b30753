import Crypto
import CryptoExtras
import Dispatch
import FoundationEssentials
import Synchronization

/// What one guess at a password costs. The standard takes 128 MiB.
package struct ScryptCost: Hashable, Sendable {
    package var rounds: Int
    package static let standard = ScryptCost(rounds: 1 << 17)
    package init(rounds: Int) { self.rounds = rounds }
}

/// Derives password hashes with scrypt on two queues of its own: at most two at a time, so that a spray of
/// sign-ins takes 256 MiB and not all of the hub, and at most 32 waiting.
final class PasswordHasher: Sendable {
    static let waitingMax = 32
    private static let blockSize = 8

    struct Stored: Sendable {
        var hash: [UInt8]
        var salt: [UInt8]
        var rounds: Int
    }

    let cost: ScryptCost
    private let queues = [DispatchQueue(label: "fieldpost.scrypt.0"), DispatchQueue(label: "fieldpost.scrypt.1")]
    private let pending = Mutex([0, 0])
    private let decoySalt: [UInt8]

    init(cost: ScryptCost) {
        self.cost = cost
        decoySalt = Self.randomBytes(16)
    }

    func hash(_ password: String) async throws -> Stored {
        let salt = Self.randomBytes(16)
        return Stored(hash: try await derive(password, salt: salt, rounds: cost.rounds), salt: salt, rounds: cost.rounds)
    }

    /// With nothing stored it works as long, and says no.
    func verify(_ password: String, against stored: Stored?) async throws -> Bool {
        // Longer ones cannot have been set; they are cut so that nobody makes the hub chew on a megabyte.
        let password = String(decoding: Array(password.utf8.prefix(Accounts.passwordBytesMax + 1)), as: UTF8.self)
        let derived = try await derive(password, salt: stored?.salt ?? decoySalt, rounds: stored?.rounds ?? cost.rounds)
        guard let stored, stored.hash.count == derived.count else { return false }
        return zip(stored.hash, derived).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
    }

    private func derive(_ password: String, salt: [UInt8], rounds: Int) async throws -> [UInt8] {
        let slot = pending.withLock { pending -> Int? in
            guard pending[0] + pending[1] < Self.waitingMax + pending.count else { return nil }
            let slot = pending[0] <= pending[1] ? 0 : 1
            pending[slot] += 1
            return slot
        }
        guard let slot else { throw Accounts.Fault.busy }
        return try await withCheckedThrowingContinuation { continuation in
            queues[slot].async { [self] in
                let result = Result {
                    try KDF.Scrypt.deriveKey(
                        from: Array(password.utf8), salt: salt, outputByteCount: 32, rounds: rounds, blockSize: Self.blockSize, parallelism: 1
                    ).withUnsafeBytes { Array($0) }
                }
                pending.withLock { $0[slot] -= 1 }
                continuation.resume(with: result)
            }
        }
    }

    private static func randomBytes(_ count: Int) -> [UInt8] {
        SymmetricKey(size: SymmetricKeySize(bitCount: count * 8)).withUnsafeBytes { Array($0) }
    }
}

/// How often somebody may try: 5 times a minute for an account, 20 times for an address. Both tables are bounded.
final class SignInLimits: Sendable {
    static let perAccount = 5
    static let perAddress = 20
    private static let windowMilliseconds: Int64 = 60_000
    private static let entriesMax = 10_000

    private struct Tables {
        var accounts: [String: [Int64]] = [:]
        var addresses: [String: [Int64]] = [:]
        /// When a refusal of this account or address was last written down.
        var noted: [String: [Int64]] = [:]
    }
    private let tables = Mutex(Tables())

    struct Refusal: Equatable {
        var retryAfterSeconds: Int
        /// The first for this account or address in a minute.
        var isFirst: Bool
    }

    /// Counts an attempt; nil when it may go on, else the seconds to wait. A refused attempt is not counted, so
    /// that knocking does not lengthen the wait.
    func admit(name: String, address: String, nowUnixMilliseconds now: Int64) -> Refusal? {
        // The name is somebody's input of any length; its hash is a key of a known size.
        let name = Self.key(name)
        return tables.withLock { tables in
            Self.tidy(&tables.accounts, now: now)
            Self.tidy(&tables.addresses, now: now)
            let account = Self.recent(tables.accounts[name], now: now)
            let from = Self.recent(tables.addresses[address], now: now)
            let addressWait = Self.wait(from, allowed: Self.perAddress, now: now)
            let waits = [Self.wait(account, allowed: Self.perAccount, now: now), addressWait]
            if let wait = waits.compactMap({ $0 }).max() {
                // One address that tries many names, and many addresses that try one name, are one event each.
                let key = addressWait == nil ? "account \(name)" : "address \(address)"
                Self.tidy(&tables.noted, now: now)
                let isFirst = Self.recent(tables.noted[key], now: now).isEmpty
                if isFirst { tables.noted[key] = [now] }
                return Refusal(retryAfterSeconds: wait, isFirst: isFirst)
            }
            tables.accounts[name] = account + [now]
            tables.addresses[address] = from + [now]
            return nil
        }
    }

    /// A success clears the account's count: people who know their password are not guessing.
    func forgive(name: String) {
        let name = Self.key(name)
        tables.withLock { tables in
            _ = tables.accounts.removeValue(forKey: name)
        }
    }

    private static func key(_ name: String) -> String {
        String(decoding: Data(SHA256.hash(data: Array(name.utf8))).base64EncodedData(), as: UTF8.self)
    }

    private static func recent(_ times: [Int64]?, now: Int64) -> [Int64] {
        // A time in the future means that the clock was set back; such a count would never end.
        (times ?? []).filter { now - $0 < windowMilliseconds && $0 <= now }
    }

    private static func wait(_ times: [Int64], allowed: Int, now: Int64) -> Int? {
        guard times.count >= allowed, let oldest = times.first else { return nil }
        return Int((windowMilliseconds - (now - oldest) + 999) / 1000)
    }

    private static func tidy(_ table: inout [String: [Int64]], now: Int64) {
        guard table.count >= entriesMax else { return }
        table = table.filter { !recent($0.value, now: now).isEmpty }
        // Still full within one minute: a spray over many names or addresses. The quietest entries go first.
        if table.count >= entriesMax {
            for (key, _) in table.sorted(by: { $0.value.count < $1.value.count }).prefix(entriesMax / 2) { table[key] = nil }
        }
    }
}
