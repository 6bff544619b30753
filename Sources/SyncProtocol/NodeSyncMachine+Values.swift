import RecordingModel

extension NodeSyncMachine {
    package struct Limits: Hashable, Sendable {
        /// A push ends after this time, so that a statement comes back.
        package var pushMilliseconds: Int64 = 30_000
        /// Segments that wait in memory at most; the rest wait on disk.
        package var queueLimit = 64
        /// Requests whose answers are still to come: the push that is under way goes on meanwhile.
        package var unansweredLimit = 3
        /// Segments that were sent and that no answer speaks of yet.
        package var unconfirmedLimit = 4_096
        /// Times that a segment may be refused before it is set aside and reported, and for how long it stays aside.
        package var refusalLimit = 3
        package var setAsideMilliseconds: Int64 = 3_600_000
        /// A hub that refuses so many refuses all: nothing is offered before their time is over.
        package var setAsideLimit = 1_024
        /// Entries of a log that is new to the hub, from which on it is asked first what it has: most of it is older than the log.
        package var reconcileLogSizeMin: UInt64 = 64
        package init() {}
    }

    /// What an answer belongs to.
    package enum Question: Hashable, Sendable { case hello, push, reconcile }

    package enum Step: Hashable, Sendable {
        /// Say hello; then call `sentHello`.
        case hello
        /// The hub does not know this log: ask what it has of the footage (`ReconcileMachine`); then call `sentReconcile`.
        case reconcile
        /// Begin a push; then call `beganPush`.
        case beginPush
        /// Send the batch of entries that begins here, about so long; then call `sentEntries`.
        case entries(from: UInt64, plainBytes: Int)
        /// Compare the file with its entry; then call `examined`.
        case examine(SegmentWork)
        case data(SegmentWork, offset: Int64, count: Int)
        case end(SegmentWork)
        /// Call `offer` with the segments that are most wanted, or with none when there are none.
        case needWork
        /// End the push; then call `endedPush`. Its answer comes later.
        case endPush
        /// Nothing can be sent before an answer, a heartbeat or something new.
        case wait

        /// Asks the node itself.
        var needsNoPush: Bool {
            switch self {
            case .needWork, .examine: true
            default: false
            }
        }
    }

    // MARK: Kept within the machine

    /// How far a segment is.
    struct Begun: Sendable {
        var sha256: ContentHash
        /// What was sent, or what the hub has of it.
        var offset: Int64
        /// What has certainly reached the hub.
        var arrived: Int64
    }
    /// A request that has been sent whole. Its answer speaks of what went before it, and of nothing that followed.
    struct Unanswered: Sendable {
        enum Kind: Sendable { case hello, push(Push), reconcile }
        var kind: Kind
        /// Segments sent since, with the offset from which.
        var since: [SegmentID: Int64] = [:]
        var logSizeSince: UInt64?
    }
    struct Push: Sendable {
        var number: Int
        /// Begun before the hub had said where it is.
        var isAnticipated: Bool
        var startedMilliseconds: Int64?
    }
    enum Cargo: Sendable {
        case entries(upTo: UInt64)
        case data(SegmentID, upTo: Int64)
        case end(SegmentID)
    }
}
