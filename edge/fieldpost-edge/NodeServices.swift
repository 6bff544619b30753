import Dispatch
import EdgeCapture
import EdgeCompress
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
    /// Nil where the system does not tell of them.
    let links: LinkChanges?

    func run() async throws {
        await cancelWhenGracefulShutdown {
            await sync.run { milliseconds in try await pause(milliseconds) }
        }
    }

    /// Time passes, or a network interface comes up.
    private func pause(_ milliseconds: Int64) async throws {
        guard let links else { return try await Task.sleep(for: .milliseconds(milliseconds)) }
        let changes = links.stream()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await Task.sleep(for: .milliseconds(milliseconds)) }
            group.addTask {
                for await _ in changes { break }
                // An interface is up before its route is there.
                try await Task.sleep(for: .milliseconds(min(milliseconds, 300)))
            }
            try await group.next()
            group.cancelAll()
        }
        try Task.checkCancellation()
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
    var reporter: SyncReporter?
    let triggers: EventTriggers?
    var energy: NodeEnergy?
    var compress: CompressEngine?
    var subStreams: [SubStreamSink] = []
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
        if let report = energy?.report {
            for state in PowerState.allCases { Gauge(label: "fieldpost_edge_power_state", dimensions: [("state", state.rawValue)]).record(state == report.state ? 1 : 0) }
            if let percent = report.estimate?.batteryPercent { Gauge(label: "fieldpost_edge_battery_percent").record(percent) }
            if let volts = report.estimate?.batteryVolts { Gauge(label: "fieldpost_edge_battery_volts").record(volts) }
            Gauge(label: "fieldpost_edge_power_alerts").record(report.alerts.count)
        }
        for camera in status.cameras {
            let dimensions = [("camera", camera.camera.description)]
            Gauge(label: "fieldpost_edge_packets", dimensions: dimensions).record(Int64(clamping: camera.packets))
            Gauge(label: "fieldpost_edge_drops", dimensions: dimensions).record(Int64(clamping: camera.drops))
            Gauge(label: "fieldpost_edge_connects", dimensions: dimensions).record(Int64(clamping: camera.connects))
            Gauge(label: "fieldpost_edge_recording", dimensions: dimensions).record(camera.state == .recording ? 1 : 0)
        }
        reporter?.keep()
        if let triggers { Gauge(label: "fieldpost_edge_events_dropped").record(Int64(clamping: triggers.dropped)) }
        file.write(
            RunningStatus(
                clocks, problem: status.diskProblem, cameras: status.cameras, sync: sync?.progress, report: try? reporter?.report(), eventsDropped: triggers?.dropped, power: energy?.report, encoders: compress?.figures.encoders, proxyRate: compress?.figures.proxyRate.map { "\($0.bitsPerSecond / 1_000) kbit/s: \($0.reason)" }, subStreams: subStreams.compactMap(\.health), metrics: registry.text()))
    }
}
