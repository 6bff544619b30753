import HubStore
import RecordingModel
import SyncProtocol

/// How pushes reach the store: one for a process, shared by the links' service and by media that are imported.
package struct IngestWriter: Sendable {
    let store: HubStore
    let disk = DiskLanes()
    let committer: GroupCommitter
    let memory = FrameMemory()
    let turns: FrameTurns
    let limits: IngestLimits
    /// What this hub may compress with, and reads.
    let dictionaries: SharedDictionaries

    package init(store: HubStore, limits: IngestLimits = IngestLimits(), dictionaries: SharedDictionaries = .shipped) {
        self.init(store: store, limits: limits, dictionaries: dictionaries, committer: GroupCommitter(store: store))
    }

    init(
        store: HubStore, limits: IngestLimits = IngestLimits(), dictionaries: SharedDictionaries = .shipped, committer: GroupCommitter, turns: FrameTurns = FrameTurns()
    ) {
        self.turns = turns
        self.store = store
        self.limits = limits
        self.dictionaries = dictionaries
        self.committer = committer
    }

    /// Until the frames that have come are dealt with.
    /// - Throws: `Problem` when the push is over.
    func take(_ session: PushSession, _ node: NodeID) async throws {
        while true {
            switch try await disk.run(node, { try session.take() }) {
            case .more: return
            case .waits: try await committer.settled(session.ticket)
            case .ended(let problem): throw problem
            }
        }
    }
}
