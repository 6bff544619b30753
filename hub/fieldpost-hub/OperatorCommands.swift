import ArgumentParser
import EvidenceLog
import FoundationEssentials
import HubStore
import Logging
import NodeIdentity
import RecordingModel
import ServiceSupport
import StorageIO
import SystemPackage

struct JoinTokenCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "join-token", abstract: "Prints a one-line token with which a node joins.",
        discussion: "The token is good for one node and holds a secret: give it to the node's crew and to nobody else.")

    @Argument(help: "The name under which the hub will list the node.") var name: String
    @OptionGroup var options: HubOptions
    @Option(help: "HOST:PORT at which the node will find the hub, when it differs from hub.yaml.") var address: String?
    @Option(help: "Hours for which the token is good, at most 72.") var hours: Double = 24

    func run() async throws {
        guard (1...64).contains(name.utf8.count), name.allSatisfy({ $0.isLetter || $0.isNumber || "-_. ".contains($0) }) else {
            throw CommandError("'\(name)' is no name for a node; use 1 to 64 letters, digits, spaces, dots, - and _")
        }
        guard hours > 0, hours * 3600 <= Double(JoinToken.lifetimeSecondsMax) else { throw CommandError("--hours takes more than 0 and at most 72") }
        let folder = try HubFolder.open(options.path)
        let store = try folder.store(logger: Logger(label: "hub"))
        guard try !store.nodeName(taken: name) else { throw CommandError("a node named '\(name)' has joined already; choose another name") }
        let (host, port) = try advertised(folder)
        var generator = SystemRandomNumberGenerator()
        let secret = (0..<16).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
        let expires = unixMillisecondsNow() / 1000 + Int64(hours * 3600)
        let token = JoinToken(host: host, port: port, hubKeyHash: folder.identity.keyHash, secret: Hex.encode(secret), expiresUnixSeconds: expires)
        try store.addJoinToken(secretHash: .sha256(secret), name: name, expiresUnixSeconds: expires)
        printLine(try token.line)
    }

    private func advertised(_ folder: HubFolder) throws -> (String, Int) {
        guard let address else { return (folder.configuration.nodesAdvertised.host, folder.configuration.nodesAdvertised.port) }
        guard let colon = address.lastIndex(of: ":"), let port = Int(address[address.index(after: colon)...]), (1...65_535).contains(port), colon != address.startIndex else {
            throw CommandError("--address takes HOST:PORT, such as hub.example.org:7443")
        }
        return (String(address[..<colon]), port)
    }
}

struct ReportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "report", abstract: "Hashes every blob again and replays every log.", discussion: "Exits with 1 when anything is wrong.")

    @OptionGroup var options: HubOptions
    @Flag(help: "Print JSON.") var json = false

    func run() async throws {
        let store = try HubFolder.open(options.path).store(logger: Logger(label: "hub"))
        var bar = TerminalProgress("checking")
        let report = try store.report { bar.update(completed: $0, total: $1) }
        bar.finish()
        if json {
            printLine(try fieldpost_hub.json(report))
        } else {
            printLine("\(report.segmentsOnHub) of \(report.segmentsKnown) segments on the hub, \(report.bytesOnHub) bytes, \(report.recordedSeconds) s recorded")
            printLine("time that nobody can explain: \(report.unexplainedGapSeconds) s")
            printLine(report.verified ? "every hash and every log's signed root agree" : "NOT VERIFIED:")
            for fault in report.faults { printLine("  \(fault)") }
        }
        if !report.verified { throw ExitCode(1) }
    }
}

struct RecoverCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "recover", abstract: "Puts right what the hub claims, after a disk was lost or a backup was restored.",
        discussion: "Begins a new generation, so that no statement from before licenses a node to delete; hashes every blob, and takes back the claim to what is missing or damaged. Nodes that still have it send it again. The hub must not run.")

    @OptionGroup var options: HubOptions
    @Flag(help: "Print JSON.") var json = false

    func run() async throws {
        let lock = try DirectoryLock(options.path.appending("lock"), heldSentence: "a fieldpost-hub serves \(options.path); stop it first")
        defer { withExtendedLifetime(lock) {} }
        let folder = try HubFolder.open(options.path).beginningGeneration()
        var bar = TerminalProgress("checking")
        let report = try folder.store(logger: Logger(label: "hub")).forgetMissing { bar.update(completed: $0, total: $1) }
        bar.finish()
        if json { return printLine(try fieldpost_hub.json(report)) }
        printLine("generation \(folder.generation) begins; of \(report.segmentsChecked) segments \(report.segmentsLost) are missing or damaged (\(report.bytesLost) bytes)")
        printLine(report.segmentsLost == 0 ? "start the hub again" : "start the hub again: nodes that still have them send them; what none has is named by: fieldpost-hub report")
    }
}

struct ResetPasswordCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "reset-password", abstract: "Gives a user a new one-time password.")

    @Argument(help: "The user's name.") var name: String
    @OptionGroup var options: HubOptions

    func run() async throws {
        let store = try HubFolder.open(options.path).store(logger: Logger(label: "hub"))
        printLine(try await Accounts(catalogue: store.catalogue).resetPassword(name: name))
    }
}

struct SuspendCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "suspend", abstract: "Takes nothing more from a node; what it sent stays.", discussion: "For a node that was stolen or given away. It is answered 403 from now on.")

    @Argument(help: "The node's name.") var name: String
    @OptionGroup var options: HubOptions

    func run() async throws { try setState(.suspended, name, options) }
}

struct ResumeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume", abstract: "Takes footage of a suspended or forked node again.",
        discussion: "A node whose log still has a second history will be stopped again; give it a new data directory and let it join anew.")

    @Argument(help: "The node's name.") var name: String
    @OptionGroup var options: HubOptions

    func run() async throws { try setState(.active, name, options) }
}

private func setState(_ state: NodeSummary.State, _ name: String, _ options: HubOptions) throws {
    let store = try HubFolder.open(options.path).store(logger: Logger(label: "hub"))
    guard try store.setState(state, ofNodeNamed: name) else { throw CommandError("no node is named '\(name)'; the names are in: fieldpost status") }
    printLine("\(name) is \(state.rawValue)")
}
