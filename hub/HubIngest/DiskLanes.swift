import Dispatch
import RecordingModel

/// The threads on which ingest writes and hashes. Blocking work never runs on the cooperative pool or an event loop.
/// What concerns one node happens on one of them, in order.
struct DiskLanes: Sendable {
    /// More than the processors of a small hub, because one may wait for its disk.
    static let count = 4
    private let queues = (0..<count).map { DispatchQueue(label: "fieldpost.ingest.disk.\($0)", qos: .userInitiated) }

    func run<Value: Sendable>(_ node: NodeID, _ work: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            queues[Int(node.keyHash.bytes.first ?? 0) % Self.count].async { continuation.resume(with: Result(catching: work)) }
        }
    }
}
