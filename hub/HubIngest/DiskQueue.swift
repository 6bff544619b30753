import Dispatch

/// The one thread on which ingest writes. Blocking work never runs on the cooperative pool or an event loop.
struct DiskQueue: Sendable {
    private let queue = DispatchQueue(label: "fieldpost.ingest.disk", qos: .userInitiated)

    func run<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            queue.async { continuation.resume(with: Result(catching: work)) }
        }
    }
}
