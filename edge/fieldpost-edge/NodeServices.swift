import Dispatch
import EdgeCapture
import EdgeJournal
import EdgeMotion
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

func blocking<Value: Sendable>(_ work: @escaping @Sendable () -> Value) async -> Value {
    await withCheckedContinuation { continuation in
        DispatchQueue.global().async { continuation.resume(returning: work()) }
    }
}

/// Cameras record from start to graceful stop, each on its own thread.
struct CaptureService: Service {
    let recorders: [CameraRecorder]

    /// - Throws: when a camera gets no thread: nothing would be said of its time, so all is tried again.
    func run() async throws {
        var started: [CameraRecorder] = []
        for recorder in recorders {
            guard recorder.start() else {
                await stop(started)
                throw CommandError("the system gives no thread for a camera; check the limit of processes (ulimit -u, TasksMax=)")
            }
            started.append(recorder)
        }
        try? await gracefulShutdown()
        await stop(started)
    }

    /// All are asked first; those that hang cost their three seconds together, and not one after the other.
    private func stop(_ recorders: [CameraRecorder]) async {
        await blocking {
            for recorder in recorders { recorder.requestStop() }
            let deadline = ContinuousClock.now + .milliseconds(CameraRecorder.stopMilliseconds)
            for recorder in recorders { recorder.stop(withinMilliseconds: Int64(max(.zero, deadline - .now) / .milliseconds(1))) }
        }
    }
}

/// Closes the journal last.
struct JournalService: Service {
    let journal: Journal

    func run() async throws {
        try? await gracefulShutdown()
        await blocking { journal.close() }
    }
}

struct SyncRunner: Service {
    let sync: SyncService

    func run() async throws {
        await cancelWhenGracefulShutdown {
            // The one thing to await between two attempts is time.
            await sync.run { milliseconds in try await Task.sleep(for: .milliseconds(milliseconds)) }
        }
    }
}

/// Writes the figures of the running process to a file, and ends the attempt when the journal can no longer record:
/// the next one recovers.
struct StatusService: Service {
    let file: StatusFile
    /// Why the journal stopped; nil while all is well.
    let failure: @Sendable () -> JournalError?
    let figures: @Sendable () throws -> JournalStatus
    let sync: SyncService?
    let triggers: EventTriggers?
    let clocks: any Clocks
    let registry: PrometheusRegistry
    let intervalSeconds: Int
    let logger: Logger

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
        if let failure = failure() { throw failure }
        let status: JournalStatus
        do { status = try figures() } catch {
            // Recording does not depend on its figures.
            logger.error("the figures cannot be had; recording goes on", metadata: ["error": "\(error)"])
            return file.write(RunningStatus(clocks, problem: "the figures cannot be had, and recording goes on: \(error)", metrics: registry.text()))
        }
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
        if let triggers { Gauge(label: "fieldpost_edge_events_dropped").record(Int64(clamping: triggers.dropped)) }
        file.write(
            RunningStatus(
                clocks, problem: status.diskProblem, cameras: status.cameras, sync: sync?.progress, eventsDropped: triggers?.dropped, metrics: registry.text()))
    }
}
