import ArgumentParser
import HubIngest
import HubStore
import Logging
import RecordingModel
import ServiceSupport
import StorageIO
import SyncProtocol
import SystemPackage

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

struct ImportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Takes in the footage that a courier brought on a stick or disk.",
        discussion: """
            The same checks as over the link; what the hub has is left out. Works beside a hub that serves, and without one. What is \
            interrupted goes on when the same command runs again. Then the hub's statement is written to the stick: bring it back to \
            the node, and there run: fieldpost-edge receipt DIR. Nodes may then give up what the hub holds.
            Run it as the user that the hub runs as (sudo -u fieldpost …).
            Ends with 3 when a bundle was not whole or something was refused.
            """)

    @Argument(help: "Where the stick is mounted.") var medium: String
    @OptionGroup var options: HubOptions
    @Option(name: .customLong("statement-to"), help: "Where to write the statements, when the stick is read-only.") var statementFolder: String?
    @Flag(help: "Print JSON.") var json = false

    private struct Answer: Encodable {
        var bundles: [BundleImport.Report]
        var statements: [String]
        var statement_problem: String?
    }

    func run() async throws {
        // A hub that goes away is told of by the failed call.
        signal(SIGPIPE, SIG_IGN)
        let folder = try HubFolder.open(options.path)
        var logger = Logger(label: "import")
        logger.logLevel = .warning
        let (sink, lock) = try sink(folder, logger)
        defer { withExtendedLifetime(lock) {} }
        let storage = RealStorage()
        var work: BundleImport
        do { work = try BundleImport(medium: FilePath(medium), storage: storage, sink: sink) } catch let problem as Problem {
            throw CommandError(problem.title + (problem.detail.map { " " + $0 } ?? ""))
        }
        var bar = TerminalProgress("importing")
        do {
            try await work.run { bar.update(completed: $0.bytes, total: $0.totalBytes, detail: "\($0.bytes / 1_000_000) MB") }
            bar.finish()
        } catch {
            bar.finish()
            if let problem = error as? Problem { throw CommandError(problem.title + (problem.detail.map { " " + $0 } ?? "")) }
            throw error
        }
        var answer = Answer(bundles: work.reports, statements: [])
        for (node, statement) in work.statements.sorted(by: { $0.key < $1.key }) {
            do {
                answer.statements.append(
                    try BundleReceipt.write(statement, nodeFolder: node, to: FilePath(statementFolder ?? medium), storage: storage).string)
            } catch {
                answer.statement_problem = "the statement was not written (\(error)); import again with --statement-to DIR"
            }
        }
        try show(answer)
        if answer.statement_problem != nil || answer.bundles.contains(where: { !$0.isWhole }) { throw ExitCode(3) }
    }

    /// The hub that serves takes the records; without one the store is opened here, and nobody serves meanwhile.
    private func sink(_ folder: HubFolder, _ logger: Logger) throws -> (any BundleSink, DirectoryLock?) {
        let lock: DirectoryLock
        do { lock = try DirectoryLock(options.path.appending("lock"), heldSentence: "") } catch is DirectoryIsLocked {
            do { return (try BundleSocket(folder: options.path), nil) } catch let error as Errno {
                throw CommandError("a hub serves \(options.path) and does not take imports yet (\(error)), or another import runs; try again")
            }
        }
        return (BundleIntake(writer: IngestWriter(store: try folder.store(logger: logger)), nowUnixMilliseconds: unixMillisecondsNow, logger: logger), lock)
    }

    private func show(_ answer: Answer) throws {
        if json { return printLine(try fieldpost_hub.json(answer)) }
        if answer.bundles.isEmpty { printLine("there is no bundle on \(medium)") }
        for bundle in answer.bundles {
            printLine("\(bundle.folder), node \(OutputTable.printable(bundle.nodeName ?? String(bundle.node.prefix(8)))):")
            printLine("  \(bundle.segmentsNew) segments new (\(bundle.bytesNew) bytes), \(bundle.segmentsAlreadyHere) already here, \(bundle.segmentsRefused) refused, \(bundle.entriesNew) log entries new")
            for refused in bundle.refused { printLine("  refused: \(OutputTable.printable(refused))") }
            if let problem = bundle.problem { printLine("  \(OutputTable.printable(problem))") }
        }
        for path in answer.statements { printLine("statement for the way back: \(path)") }
        if let problem = answer.statement_problem { printLine(problem) }
    }
}
