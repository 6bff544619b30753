import Dispatch
import EdgeCapture
import EdgeJournal
import EdgeSync
import FoundationEssentials
import Logging
import Metrics
import RecordingModel
import ServiceLifecycle
import ServiceSupport
import StorageIO
import SystemPackage

/// Runs blocking work off the cooperative pool.
func blocking<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        DispatchQueue.global().async { continuation.resume(with: Result(catching: work)) }
    }
}

/// Cameras record from start to graceful stop, each on its own thread.
struct CaptureService: Service {
    let recorders: [CameraRecorder]

    func run() async throws {
        for recorder in recorders { recorder.start() }
        try? await gracefulShutdown()
        try await blocking {
            // Side by side: one that hangs costs its three seconds once, not once for each that waits behind it.
            for recorder in recorders { recorder.requestStop() }
            DispatchQueue.concurrentPerform(iterations: recorders.count) { recorders[$0].stop() }
        }
    }
}

/// Closes the journal last.
struct JournalService: Service {
    let journal: Journal

    func run() async throws {
        try? await gracefulShutdown()
        try await blocking { journal.close() }
    }
}

struct SyncRunner: Service {
    let sync: SyncService

    func run() async throws {
        await cancelWhenGracefulShutdown {
            await sync.run { failures in
                var backoff = Backoff(first: .seconds(2), longest: .seconds(30))
                var generator = SystemRandomNumberGenerator()
                var delay = backoff.next(using: &generator)
                for _ in 1..<max(1, min(failures, 8)) { delay = backoff.next(using: &generator) }
                // The one thing to await between two attempts is time.
                try await Task.sleep(for: delay)
            }
        }
    }
}

/// Writes the figures of the running process to a file, and ends the process when the journal can no longer record:
/// started again, it recovers.
struct StatusService: Service {
    let file: StatusFile
    let journal: Journal
    let sync: SyncService?
    let clocks: any Clocks
    let registry: PrometheusRegistry
    let intervalSeconds: Int

    func run() async throws {
        let notifier = ServiceNotifier()
        try await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                try await blocking { try report() }
                notifier.watchdog()
                // A figure is written because time has passed, and for no other reason.
                guard (try? await Task.sleep(for: .seconds(intervalSeconds))) != nil else { return }
            }
        }
    }

    private func report() throws {
        if let failure = journal.failure { throw failure }
        let status = try journal.status()
        Gauge(label: "fieldpost_edge_segments").record(status.segments)
        Gauge(label: "fieldpost_edge_backlog_bytes").record(status.backlog.bytes)
        if let space = status.space { Gauge(label: "fieldpost_edge_disk_available_bytes").record(space.availableBytes) }
        if let progress = sync?.progress {
            Gauge(label: "fieldpost_edge_hub_connected").record(progress.isConnected ? 1 : 0)
            Gauge(label: "fieldpost_edge_hub_contacts").record(progress.contacts)
            Gauge(label: "fieldpost_edge_sent_bytes").record(progress.bytesSent)
            Gauge(label: "fieldpost_edge_sent_in_vain_bytes").record(progress.duplicateBytes)
            Gauge(label: "fieldpost_edge_segments_set_aside").record(progress.setAside.count)
        }
        for camera in status.cameras {
            let dimensions = [("camera", camera.camera.description)]
            Gauge(label: "fieldpost_edge_packets", dimensions: dimensions).record(Int64(clamping: camera.packets))
            Gauge(label: "fieldpost_edge_drops", dimensions: dimensions).record(Int64(clamping: camera.drops))
            Gauge(label: "fieldpost_edge_connects", dimensions: dimensions).record(Int64(clamping: camera.connects))
            Gauge(label: "fieldpost_edge_recording", dimensions: dimensions).record(camera.state == .recording ? 1 : 0)
        }
        file.write(
            RunningStatus(
                writtenUnixMilliseconds: clocks.now().wall.unixMilliseconds, problem: status.diskProblem, cameras: status.cameras, sync: sync?.progress,
                metrics: registry.text()))
    }
}
