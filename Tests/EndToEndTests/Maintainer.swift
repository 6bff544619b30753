import Foundation
import TestSupport

/// Somebody at the command line `fieldpost`, signed in to a hub.
struct Maintainer {
    let directory: TemporaryDirectory

    init(signedInTo hub: Hub) async throws {
        directory = try TemporaryDirectory("maintainer")
        let passwordFile = try directory.write(try await hub.setPassword() + "\n", to: "password")
        let outcome = try await fieldpost(["login", hub.page, "--user", "admin", "--password-file", passwordFile, "--pin", hub.pin])
        guard outcome.succeeded else { throw TestFailure("login: \(outcome.errors)\(outcome.output)") }
    }

    func fieldpost(_ arguments: [String]) async throws -> Outcome {
        let home = ["HOME": directory.path, "XDG_CONFIG_HOME": directory.path("config"), "XDG_STATE_HOME": directory.path("state")]
        return try await run(Here.product("fieldpost"), arguments, environment: home, within: .seconds(120))
    }

    /// A camera's footage of these minutes as one file.
    func get(_ camera: String, from: Date, to: Date) async throws -> String {
        let file = directory.path("\(camera).mp4")
        let style = Date.ISO8601FormatStyle()
        let outcome = try await fieldpost(["get", camera, "--from", from.formatted(style), "--to", to.formatted(style), "-o", file])
        guard outcome.succeeded else { throw TestFailure("get \(camera): \(outcome.errors)\(outcome.output)") }
        return file
    }
}
