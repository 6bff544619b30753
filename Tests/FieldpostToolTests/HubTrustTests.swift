import EvidenceLog
import Foundation
import RecordingModel
import TestSupport
import Testing

@testable import fieldpost

@Suite struct HubTrustTests {
    /// A certificate that an authority nobody knows signed, with the authority behind it, and a server that shows both.
    private func server(_ name: String, in folder: TemporaryDirectory) async throws -> (process: RunningProcess, port: Int) {
        func openssl(_ arguments: [String]) async throws { try await runSuccessfully("/usr/bin/openssl", arguments) }
        let base = folder.path + "/" + name
        try await openssl([
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", base + "-ca.key", "-out", base + "-ca.pem", "-days", "2",
            "-subj", "/CN=authority",
        ])
        try await openssl([
            "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", base + ".key", "-out", base + ".csr", "-subj", "/CN=another.example",
        ])
        try await openssl([
            "x509", "-req", "-in", base + ".csr", "-CA", base + "-ca.pem", "-CAkey", base + "-ca.key", "-CAcreateserial", "-out", base + ".pem", "-days", "2",
        ])
        let process = try RunningProcess("/usr/bin/openssl", [
            "s_server", "-accept", "0", "-4", "-www", "-cert", base + ".pem", "-key", base + ".key", "-cert_chain", base + "-ca.pem", "-naccept", "20",
        ])
        let line = try await process.line { $0.contains("ACCEPT") }
        let port = try must(line.split(separator: ":").last.flatMap { Int($0.trimmingCharacters(in: .whitespaces)) })
        return (process, port)
    }

    @Test func thePinIsCheckedOnTheConnectionThatCarriesTheRequest() async throws {
        let folder = try TemporaryDirectory()
        let (own, port) = try await server("own", in: folder)
        let (other, otherPort) = try await server("other", in: folder)
        let trust = try await HubTrust.fetch(host: "127.0.0.1", port: port)
        #expect(try await HubTrust.fetch(host: "127.0.0.1", port: otherPort).keyHash != trust.keyHash)

        // The one with the pinned key gets the request; what it answers is no list of nodes.
        let understood = await failure { try await HubClient.with(try HubAddress("https://127.0.0.1:\(port)"), trust: trust, token: nil) { try await $0.nodes() } }
        #expect(understood.contains("was not understood"))
        // Another key, that came between the look and the request: not a byte goes to it.
        let refused = await failure { try await HubClient.with(try HubAddress("https://127.0.0.1:\(otherPort)"), trust: trust, token: nil) { try await $0.nodes() } }
        #expect(refused.contains("could not be reached"), "\(refused)")
        withExtendedLifetime((own, other)) {}
    }

    /// The programs themselves: what `login` saves is what the hub says of itself.
    @Test func aSignInKeepsTheHubsKey() async throws {
        let folder = try TemporaryDirectory()
        let program = try Here.product("fieldpost-hub")
        let made = try await runSuccessfully(program, [
            "init", "--data", folder.path("hub"), "--nodes-port", "\(try freePort())", "--people-port", "\(try freePort())", "--json",
        ])
        let password = try must(try made.json()["one_time_password"] as? String)
        let hub = try RunningProcess(program, ["serve", "--data", folder.path("hub")])
        let line = try await hub.jsonLine()
        let environment = ["XDG_CONFIG_HOME": folder.path("config")]
        let outcome = try await run(try Here.product("fieldpost"), [
            "login", try must(line["people"] as? String), "--user", "admin", "--password-file", try folder.write(password, to: "one-time"), "--new-password-file",
            try folder.write("four random words", to: "own"), "--pin", try must(line["people_pin"] as? String), "--json",
        ], environment: environment)
        #expect(outcome.succeeded, "\(outcome.errors)")
        let known = try JSONDecoder().decode(KnownHubs.self, from: Data(contentsOf: URL(fileURLWithPath: folder.path("config/fieldpost/known-hubs.json"))))
        let key = try #require(known.hubs.first?.hubKey)
        #expect(NoteKey(text: key)?.algorithm == .cosignature)
        #expect(try outcome.json()["hubKey"] as? String == key)
        let status = try await run(try Here.product("fieldpost"), ["status", "--json"], environment: environment)
        #expect(try status.json()["hubKey"] as? String == key)
        _ = try await hub.stop()
    }

    private func failure(_ body: () async throws -> NodeList) async -> String {
        do {
            _ = try await body()
            return "none"
        } catch {
            return "\(error)"
        }
    }
}
