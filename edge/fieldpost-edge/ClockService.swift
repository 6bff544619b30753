import EdgeJournal
import Logging
import RecordingModel
import ServiceLifecycle
import ServiceSupport

/// Looks at the clocks once a second, and puts into the log what `ClockKeeper` makes of them.
struct ClockService: Service {
    let journal: Journal
    let clocks: any Clocks
    /// As the log told at the start.
    let boots: [BootSpan]
    let logger: Logger
    /// What the disk refused waits; beyond this the oldest is let go.
    private static let waitingMax = 2_000

    func run() async throws {
        await cancelWhenGracefulShutdown {
            var keeper = ClockKeeper(bootID: clocks.bootID, boots: boots)
            var waiting: [ClockRecord] = []
            while !Task.isCancelled {
                let found = keeper.observe(clocks.now())
                for record in found {
                    logger.notice("the clock is known better", metadata: ["boot": "\(record.bootID)", "reason": "\(record.reason.rawValue)", "source": "\(record.wall.source.rawValue)"])
                }
                waiting = (waiting + found).suffix(Self.waitingMax)
                if !waiting.isEmpty { waiting = await written(waiting) }
                // A clock is looked at because time has passed, and for no other reason.
                guard (try? await Task.sleep(for: .seconds(1))) != nil else { return }
            }
        }
    }

    /// - Returns: what could not be written.
    private func written(_ records: [ClockRecord]) async -> [ClockRecord] {
        for (number, record) in records.enumerated() {
            do {
                try await blocking { [journal] in try journal.record(record) }
            } catch {
                logger.error("a clock fix could not be written; it is tried again", metadata: ["error": "\(error)"])
                return Array(records[number...])
            }
        }
        return []
    }
}
