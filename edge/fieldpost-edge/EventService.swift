import EdgeEvents
import EdgeMotion
import Logging
import RecordingModel
import ServiceLifecycle
import ServiceSupport

/// Hears events from outside until the node stops. Whatever fails in it, recording goes on: a token or password that
/// cannot be read is said once and asked for again, and only its own source of events waits for it.
struct EventService: Service {
    let configuration: EdgeConfiguration
    let triggers: EventTriggers
    let clocks: any Clocks
    let logger: Logger
    var retryPause = Duration.seconds(10)

    func run() async throws {
        await cancelWhenGracefulShutdown {
            await withTaskGroup(of: Void.self) { group in
                if let listener = configuration.listener { group.addTask { await listen(listener) } }
                for camera in configuration.cameras {
                    if let onvif = camera.events.onvif { group.addTask { await follow(camera.id, onvif) } }
                }
            }
        }
        // A service that ends by itself would end the node.
        try? await gracefulShutdown()
    }

    private func listen(_ listener: EdgeConfiguration.Listener) async {
        guard let token = await secret("no events are taken", { try listener.token() }) else { return }
        await EventListener(host: listener.host, port: listener.port, token: token, triggers: triggers, clocks: clocks, logger: logger).run()
    }

    private func follow(_ camera: CameraID, _ onvif: EdgeConfiguration.Camera.Events.ONVIF) async {
        guard let credentials = await secret("the events of camera \(camera) are not heard", { try onvif.credentials() }) else { return }
        let camera = ONVIFEvents.Camera(id: camera, address: onvif.address, credentials: credentials)
        await ONVIFEvents(cameras: [camera], triggers: triggers, clocks: clocks, logger: logger).run()
    }

    /// Nil when the node stops before it can be read.
    private func secret<Value: Sendable>(_ consequence: String, _ read: @escaping @Sendable () throws -> Value) async -> Value? {
        var said = ""
        while true {
            do { return try await blocking(read) } catch {
                if said != "\(error)" { logger.error("\(consequence); it is tried again", metadata: ["error": "\(error)"]) }
                said = "\(error)"
            }
            // Nothing tells when somebody writes the file.
            guard (try? await Task.sleep(for: retryPause)) != nil else { return nil }
        }
    }
}
