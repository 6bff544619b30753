import ArgumentParser
import HubStore
import Logging
import NodeIdentity
import RecordingModel
import NIOCore
import NIOPosix
import ServiceSupport
import SystemPackage

struct InitCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "init", abstract: "Makes a new hub: keys, certificate, hub.yaml and the first user.")

    @OptionGroup var options: HubOptions
    @Option(help: "Address to listen on.") var host = "127.0.0.1"
    @Option(help: "Port for nodes; 0 picks a free one now and keeps it.") var nodesPort = 7443
    @Option(help: "Port for people; 0 picks a free one now and keeps it.") var peoplePort = 8443
    @Option(help: "Name of the first user.") var user = "admin"
    @Flag(help: "Print JSON.") var json = false

    private struct Answer: Encodable {
        var user: String
        var one_time_password: String
        var people_pin: String
        var hub: String
    }

    func run() async throws {
        guard try !HubFolder.exists(options.path) else { throw CommandError("\(options.path) already holds a hub; choose another --data, or start it with: fieldpost-hub serve --data \(options.path)") }
        let folder = try HubFolder.create(
            options.path, nodes: .init(host: host, port: try await port(nodesPort)), people: .init(host: host, port: try await port(peoplePort)))
        let store = try folder.store(logger: Logger(label: "hub"))
        let password = try await Accounts(catalogue: store.catalogue).createUser(name: user, nowUnixMilliseconds: unixMillisecondsNow())
        let answer = Answer(user: user, one_time_password: password, people_pin: folder.peopleIdentity.keyHash.hex, hub: folder.identity.hubID.description)
        if json { return printLine(try fieldpost_hub.json(answer)) }
        printLine(
            """
            A new hub is in \(options.path). Its key has the fingerprint \(folder.identity.keyHash.fingerprint).
            First user: \(user), one-time password: \(password) (a new one is asked for at the first sign-in)
            Start it:      fieldpost-hub serve --data \(options.path)
            Invite a node: fieldpost-hub join-token NAME --data \(options.path)
            """)
    }

    /// A port of 0 becomes one that is free now, so that addresses stay the same from start to start.
    private func port(_ wanted: Int) async throws -> Int {
        guard wanted == 0 else { return wanted }
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton).bind(host: host, port: 0).get()
        defer { channel.close(promise: nil) }
        return channel.localAddress?.port ?? 0
    }
}
