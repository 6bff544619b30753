import EdgeMotion
import EdgeONVIF
import Logging
import RecordingModel
import Synchronization

/// Fetches the events of cameras that speak ONVIF, and puts them into their trigger boxes.
package struct ONVIFEvents: Sendable {
    package struct Camera: Sendable {
        package var id: CameraID
        /// `HOST`, `HOST:PORT` or the address of the device service.
        package var address: String
        package var credentials: ONVIFCredentials?

        package init(id: CameraID, address: String, credentials: ONVIFCredentials?) {
            self.id = id
            self.address = address
            self.credentials = credentials
        }
    }

    private let cameras: [Camera]
    private let triggers: EventTriggers
    private let clocks: any Clocks
    private let logger: Logger

    package init(cameras: [Camera], triggers: EventTriggers, clocks: any Clocks, logger: Logger) {
        self.cameras = cameras
        self.triggers = triggers
        self.clocks = clocks
        self.logger = logger
    }

    /// Until the task is cancelled; each camera by itself, subscribed again after every failure.
    package func run() async {
        await withTaskGroup(of: Void.self) { group in
            for camera in cameras {
                guard let box = triggers[camera.id], let url = DeviceURL(deviceAt: camera.address) else { continue }
                group.addTask { await follow(camera, url, box) }
            }
        }
    }

    private func follow(_ camera: Camera, _ url: DeviceURL, _ box: TriggerBox) async {
        var logger = logger
        logger[metadataKey: "camera"] = "\(camera.id)"
        let (clocks, said) = (clocks, logger)
        // A camera that is away for a month is one line, not one every half minute.
        let isHeard = Mutex<Bool?>(nil)
        do {
            try await ONVIFClient.with(credentials: camera.credentials, clocks: clocks) { client in
                await client.device(at: url).runSubscription(
                    changed: { state in
                        let now = state == .subscribed
                        guard isHeard.withLock({ heard in
                            defer { heard = now }
                            return heard != now
                        }) else { return }
                        switch state {
                        case .subscribed: said.info("subscribed to the camera's events")
                        case .failed(let error, _): said.warning("the camera's events are not heard; trying again", metadata: ["error": "\(error)"])
                        }
                    },
                    take: { notification in
                        if let trigger = EventTrigger(notification, bootMilliseconds: clocks.now().bootMilliseconds) { box.put(trigger) }
                    })
            }
        } catch {
            said.error("the camera's events cannot be heard", metadata: ["error": "\(error)"])
        }
    }
}
