import ArgumentParser
import EdgeSync
import FoundationEssentials
import NodeIdentity
import RecordingModel
import StorageIO
import SystemPackage

struct InitCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "init", abstract: "Writes a commented example configuration.")

    @Option(name: .customLong("config"), help: "The file to write.") var file: String
    @Option(name: .customLong("data"), help: "The node's data directory.") var dataDirectory = "/var/lib/fieldpost"
    @Option(name: .customLong("camera"), help: "NAME=URL; may be given again.") var cameras: [String] = []
    @Option(help: "Nominal length of a segment, 2 to 600 seconds.") var segmentSeconds = 60
    @Flag(help: "Replace a file that is there.") var force = false
    @Flag(help: "Only make the data directory that the file names ready for a new node.") var prepare = false

    func run() async throws {
        let storage = RealStorage()
        let path = FilePath(file)
        if prepare { return try prepareDirectory(path, storage) }
        guard try force || storage.size(path) == nil else { throw CommandError("\(file) is there already; edit it, or replace it with --force") }
        let parsed = try cameras.map { text in
            let parts = text.split(separator: "=", maxSplits: 1).map(String.init)
            guard parts.count == 2 else { throw CommandError("--camera takes NAME=URL, such as gate=rtsp://10.0.0.5/stream") }
            return EdgeConfiguration.ExampleCamera(id: parts[0], url: parts[1])
        }
        let directory = dataDirectory.hasPrefix("/") ? dataDirectory : FilePath(workingDirectory()).appending(dataDirectory).lexicallyNormalized().string
        let text =
            parsed.isEmpty
            ? EdgeConfiguration.example(dataDirectory: directory, segmentSeconds: segmentSeconds)
            : EdgeConfiguration.example(dataDirectory: directory, cameras: parsed, segmentSeconds: segmentSeconds)
        // What is written must be accepted: a wrong camera name is refused here, not at the first run.
        _ = try EdgeConfiguration.decode(Array(text.utf8), file: file)
        try storage.replace(path, with: Array(text.utf8))
        printLine("wrote \(file)")
        do {
            try prepareDirectory(path, storage)
        } catch {
            printLine("\(error)\nedit \(file), then: fieldpost-edge init --prepare --config \(file)")
        }
    }

    /// A data directory is made on purpose, and never by a recorder that finds an empty mount point.
    private func prepareDirectory(_ path: FilePath, _ storage: RealStorage) throws {
        let folder = try NodeFolder(try EdgeConfiguration.decode(storage.read(path, limitBytes: 1 << 20), file: file))
        try folder.prepare()
        printLine("\(folder.root) is ready for this node; start it with: fieldpost-edge run --config \(file)")
    }

    private func workingDirectory() -> String { FileManager.default.currentDirectoryPath }
}

struct EnrolCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "enrol", abstract: "Joins a hub with a token from fieldpost-hub join-token.",
        discussion: "The hub must show the key that the token names before the token's secret is sent. TOKEN may be - to read it from standard input.")

    @Argument(help: "The token, one line.") var token: String
    @OptionGroup var options: EdgeOptions

    func run() async throws {
        let configuration = try options.read()
        let line = token == "-" ? (readLine() ?? "") : token
        guard let token = JoinToken(line: line) else {
            throw CommandError("this is no whole join token; it is one line that begins with fieldpost-join-1. and comes from: fieldpost-hub join-token NAME")
        }
        let folder = try NodeFolder(configuration)
        try folder.prepare()
        if let joined = try folder.hub(), joined.hub.keyHash != token.hubKeyHash {
            throw CommandError("this node has joined another hub (\(joined.hub.keyHash.fingerprint)); remove \(folder.root)/keys/hub.json to leave it")
        }
        let identity = try folder.identity()
        let endpoint = try await EdgeSync.enrol(with: token, identity: identity, timeouts: configuration.timeouts)
        try folder.join(endpoint)
        printLine("joined as '\(endpoint.name)'; hub \(endpoint.hub.keyHash.fingerprint), this node \(identity.keyHash.fingerprint)")
    }
}
