import ArgumentParser
import FoundationEssentials
import RecordingModel

struct Login: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Sign in to a hub and remember it, with the hash of its key and the keys that fieldpost verify will believe.")

    @Argument(help: "The hub's address, such as https://hub.example:8443.") var url: String
    @Option(help: "Your name at the hub.") var user: String
    @Option(help: ArgumentHelp("A file with the password on its first line; without it you are asked.", valueName: "file")) var passwordFile: String?
    @Option(help: ArgumentHelp("A file with the password to set, after a one-time password.", valueName: "file")) var newPasswordFile: String?
    @Option(help: ArgumentHelp("SHA-256 over the hub's public key (SubjectPublicKeyInfo), 64 hex digits.", valueName: "hash")) var pin: String?
    @Flag(help: "Print the result as JSON.") var json = false

    private struct SessionRequest: Encodable {
        var user: String
        var password: String
        var newPassword: String?
    }
    private struct SessionAnswer: Decodable {
        var token: String
    }
    private struct Result: Encodable {
        var url: String
        var user: String
        var pin: String
        var hubKey: String?
    }

    func run() async throws {
        let address = try HubAddress(url)
        let trust = try await HubTrust.fetch(host: address.host, port: address.port)
        try confirm(trust, at: address)
        guard let password = try passwordFile.map(Self.firstLine) ?? Terminal.ask("Password: ", hidden: true) else {
            throw Failure("There is no terminal to ask for the password on. Give it with --password-file.")
        }
        var request = SessionRequest(user: user, password: password, newPassword: try newPasswordFile.map(Self.firstLine))
        let token = try await HubClient.with(address, trust: trust, token: nil) { client in
            do {
                return try await signIn(client, request)
            } catch let refusal as HubRefusal where refusal.code == "password-change-required" {
                guard newPasswordFile == nil, let new = Self.askNewPassword() else {
                    throw Failure(
                        "This password was for one sign-in. Set your own on \(address.url)/sign-in, or give it with --new-password-file, at least 12 characters.")
                }
                request.newPassword = new
                return try await signIn(client, request)
            }
        }
        try Credentials(url: address.url, user: user, token: token, pin: trust.keyHash.hex).save()
        let identity = try await HubClient.with(address, trust: trust, token: token) { try await KnownHubs.refresh(from: $0, try await $0.nodes()) }
        if json {
            try Terminal.json(Result(url: address.url, user: user, pin: trust.keyHash.hex, hubKey: identity?.hubKey))
        } else {
            print("Signed in to \(address.url) as \(user), for 30 days.")
        }
    }

    private func signIn(_ client: HubClient, _ request: SessionRequest) async throws -> String {
        let answer: SessionAnswer = try await client.post("/api/v1/session", request)
        return answer.token
    }

    /// Before the password goes anywhere: whose key is this?
    private func confirm(_ trust: HubTrust, at address: HubAddress) throws {
        if let pin {
            guard let wanted = ContentHash(pin.lowercased()) else { throw Failure("--pin must be 64 hex digits.") }
            guard wanted == trust.keyHash else {
                throw Failure("The hub at \(address.url) has another key: \(trust.keyHash). Nothing was sent to it.")
            }
            return
        }
        if let saved = try? Credentials.load(), saved.url == address.url, saved.pin == trust.keyHash.hex { return }
        Terminal.note("The hub's key has the hash \(trust.keyHash)")
        Terminal.note("and the fingerprint \(trust.keyHash.fingerprint). Compare it with what the hub printed at its start.")
        guard let answer = Terminal.ask("Is this your hub? Type yes: ") else {
            throw Failure("There is no terminal to confirm the hub's key on. Compare the hash above and give it with --pin.")
        }
        guard answer.lowercased() == "yes" else { throw Failure("Not signed in: the hub's key was not confirmed.") }
    }

    private static func askNewPassword() -> String? {
        guard let first = Terminal.ask("This was a one-time password. New password, at least 12 characters: ", hidden: true),
            let second = Terminal.ask("New password again: ", hidden: true), first == second
        else { return nil }
        return first
    }

    private static func firstLine(_ path: String) throws -> String {
        guard let bytes = try? Data(contentsOf: URL(filePath: path)), let line = String(data: bytes, encoding: .utf8)?.split(whereSeparator: \.isNewline).first else {
            throw Failure("The file \(path) cannot be read or is empty.")
        }
        return String(line)
    }
}
