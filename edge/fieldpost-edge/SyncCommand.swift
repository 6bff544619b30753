import ArgumentParser
import Dispatch
import EdgeJournal
import EdgeSync
import Logging
import RecordingModel
import ServiceSupport

struct SyncCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sync", abstract: "Sends everything to the hub once, without recording, and ends.",
        discussion: "Ends with 0 when the hub's signed statement covers every sealed segment and the whole log.")

    @OptionGroup var options: EdgeOptions
    @Option(help: "Seconds after which to give up.") var timeout = 60

    func run() async throws {
        let configuration = try options.read()
        ServiceLogging.bootstrap(level: configuration.log.level, format: configuration.log.format)
        let folder = try NodeFolder(configuration)
        guard let endpoint = try folder.hub() else { throw CommandError("this node has not joined a hub; do so with: fieldpost-edge enrol TOKEN --config \(options.file)") }
        if let reader = try? folder.reader(), reader.isRecording {
            throw CommandError("the recorder is running and syncs by itself; look with: fieldpost-edge status --config \(options.file)")
        }
        let clocks = try SystemClocks()
        let identity = try folder.identity()
        let journal = try folder.openJournal(configuration, identity: identity, clocks: clocks, logger: Logger(label: "journal"))
        defer { journal.close() }
        let reporter = SyncReporter(journal: journal, folder: folder, limits: configuration.storage.limits, clocks: clocks, logger: Logger(label: "sync"))
        defer { reporter.keep(isLast: true) }
        let service = try configuration.syncService(endpoint, identity: identity, folder: folder, journal: journal, clocks: clocks, reporter: reporter)
        let bar = SyncBar(total: try journal.status().backlog.bytes)
        // True from the task that has sent everything; the bar only looks on.
        try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask {
                try await Self.repeatUntilDone(service, journal)
                return true
            }
            group.addTask {
                try await Task.sleep(for: .seconds(timeout))
                throw CommandError("not all was sent within \(timeout) s (\(service.progress.linkReason ?? service.progress.lastError ?? "the link is slow")); run it again, it goes on where it stopped, or give it more with --timeout")
            }
            group.addTask {
                try await bar.show(journal)
                return false
            }
            defer { group.cancelAll() }
            while let isDone = try await group.next(), !isDone {}
        }
        let status = try journal.status()
        printLine("the hub holds all \(status.segments) segments and \(status.logSize) log entries")
    }

    private static func repeatUntilDone(_ service: SyncService, _ journal: Journal) async throws {
        var backoff = Backoff(first: .milliseconds(500), longest: .seconds(3))
        var generator = SystemRandomNumberGenerator()
        while true {
            do {
                try await service.syncOnce()
                let status = try journal.status()
                if status.backlog.segments == 0, journal.latestStatement()?.logSize == status.logSize { return }
                if !service.progress.setAside.isEmpty { throw CommandError("the hub refuses: \(service.progress.setAside.joined(separator: "; "))") }
            } catch let error as SyncError {
                switch error {
                case .otherHubKey, .refused: throw error
                case .cannotConnect, .connectionLost, .linkClosed, .noAnswer, .malformedAnswer, .noCheckpoint, .shortFile: break
                }
            }
            try await Task.sleep(for: backoff.next(using: &generator))
        }
    }
}

/// Shows how much is still to be sent.
private struct SyncBar: Sendable {
    let total: Int64

    func show(_ journal: Journal) async throws {
        var bar = TerminalProgress("sending")
        for await _ in journal.changes {
            let left = try journal.status().backlog.bytes
            bar.update(completed: max(0, total - left), total: total)
        }
    }
}
