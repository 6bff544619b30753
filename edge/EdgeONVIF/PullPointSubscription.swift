import RecordingModel

/// A subscription from which we fetch (ONVIF Core Specification, section 9.2). It ends by itself a minute after the last sign
/// of life, so that a node that is cut off leaves nothing behind in the camera.
struct PullPointSubscription: Sendable {
    /// A pull waits this long in the camera while nothing happens.
    static let pullSeconds: Int64 = 10
    /// Messages of one pull.
    static let messagesMax = 64
    static let lifetimeSeconds: Int64 = 60
    static let renewAfterMilliseconds: Int64 = 25_000

    let device: ONVIFDevice
    let reference: SubscriptionReference
    private let offset: Int64

    /// - Throws: `ONVIFError`.
    static func create(on device: ONVIFDevice) async throws -> PullPointSubscription {
        let offset = try await device.clockOffsetMilliseconds()
        guard let events = try await device.services(offset)[Namespace.events] else { throw ONVIFError(.answer, "the device has no event service") }
        let request = SOAPRequest(
            "\(Namespace.events)/EventPortType/CreatePullPointSubscriptionRequest",
            "<e:CreatePullPointSubscription xmlns:e=\"\(Namespace.events)\"><e:InitialTerminationTime>PT\(lifetimeSeconds)S</e:InitialTerminationTime></e:CreatePullPointSubscription>")
        let answer = try await device.ask(request, at: events, "CreatePullPointSubscriptionResponse", offset)
        let stated = answer.at("SubscriptionReference", "Address")?.text ?? ""
        guard let url = DeviceURL(stated) else { throw ONVIFError(.answer, "the device names no usable address of the subscription") }
        let parameters = answer.at("SubscriptionReference", "ReferenceParameters")?.children.map(\.serialized).joined() ?? ""
        guard parameters.utf8.count <= 8192 else { throw ONVIFError(.answer, "the subscription's parameters have more than 8192 bytes") }
        return PullPointSubscription(device: device, reference: SubscriptionReference(statedAddress: stated, parameters: parameters, url: url.at(host: device.url.host)), offset: offset)
    }

    /// What has happened; after `pullSeconds` without an event, nothing.
    func pull() async throws -> [ONVIFNotification] {
        let request = SOAPRequest(
            "\(Namespace.events)/PullPointSubscription/PullMessagesRequest",
            "<e:PullMessages xmlns:e=\"\(Namespace.events)\"><e:Timeout>PT\(Self.pullSeconds)S</e:Timeout><e:MessageLimit>\(Self.messagesMax)</e:MessageLimit></e:PullMessages>", to: reference)
        return ONVIFNotification.messages(in: try await device.ask(request, at: reference.url, "PullMessagesResponse", offset, timeoutSeconds: Self.pullSeconds + 5))
    }

    func renew() async throws {
        let request = SOAPRequest(
            "http://docs.oasis-open.org/wsn/bw-2/SubscriptionManager/RenewRequest",
            "<n:Renew xmlns:n=\"\(Namespace.notification)\"><n:TerminationTime>PT\(Self.lifetimeSeconds)S</n:TerminationTime></n:Renew>", to: reference)
        _ = try await device.ask(request, at: reference.url, "RenewResponse", offset)
    }

    func unsubscribe() async throws {
        let request = SOAPRequest(
            "http://docs.oasis-open.org/wsn/bw-2/SubscriptionManager/UnsubscribeRequest", "<n:Unsubscribe xmlns:n=\"\(Namespace.notification)\"/>", to: reference)
        _ = try await device.ask(request, at: reference.url, "UnsubscribeResponse", offset, timeoutSeconds: 2)
    }
}

extension ONVIFDevice {
    /// What becomes of a device's events, for its status.
    package enum SubscriptionState: Sendable, Hashable {
        case subscribed
        /// Tried again after the wait.
        case failed(ONVIFError, wait: Duration)
    }

    /// The wait after so many failures in a row: 1 s, doubling to 30 s, of which the jitter takes away at most half.
    /// - Parameter jitter: 0 to 1, drawn anew each time.
    static func pause(afterFailures count: Int, jitter: Double) -> Duration {
        let ceilingMilliseconds = min(30_000, 1000 << min(max(count - 1, 0), 5))
        return .milliseconds(max(1000, ceilingMilliseconds - Int(Double(ceilingMilliseconds) / 2 * min(max(jitter, 0), 1))))
    }

    /// Subscribes and reports every notification until the task is cancelled, which also takes the subscription back. Subscribes
    /// anew after every failure, with growing waits. One pull is under way at a time and the next waits for `take`: nothing
    /// is queued here; what a camera cannot keep meanwhile it drops.
    /// - Parameters:
    ///   - jitter: 0 to 1, drawn for each wait, so that the cameras of a node do not come back in step.
    ///   - sleep: waits, or throws when cancelled.
    package func runSubscription(
        jitter: @Sendable () -> Double = { Double.random(in: 0...1) },
        sleep: @Sendable (Duration) async throws -> Void = { try await Task.sleep(for: $0) },
        changed: @Sendable (SubscriptionState) -> Void, take: @Sendable (ONVIFNotification) async -> Void
    ) async {
        var failures = 0
        while !Task.isCancelled {
            do {
                let subscription = try await PullPointSubscription.create(on: self)
                changed(.subscribed)
                // Unsubscribing must still happen when this task was cancelled, which a task of its own does not notice.
                do {
                    try await pull(subscription, succeeded: { failures = 0 }, take: take)
                } catch {
                    await Task { try? await subscription.unsubscribe() }.value
                    throw error
                }
            } catch {
                if Task.isCancelled { return }
                failures += 1
                let wait = Self.pause(afterFailures: failures, jitter: jitter())
                changed(.failed(error as? ONVIFError ?? ONVIFError(.answer, SOAPAnswer.bounded("\(error)")), wait: wait))
                do { try await sleep(wait) } catch { return }
            }
        }
    }

    private func pull(_ subscription: PullPointSubscription, succeeded: () -> Void, take: @Sendable (ONVIFNotification) async -> Void) async throws {
        var renewedBootMilliseconds = client.clocks.now().bootMilliseconds
        while true {
            try Task.checkCancellation()
            let started = client.clocks.now().bootMilliseconds
            let messages = try await subscription.pull()
            succeeded()
            for message in messages { await take(message) }
            let now = client.clocks.now().bootMilliseconds
            // A camera that answers at once with nothing must not be asked in a busy loop.
            if messages.isEmpty, now - started < 500 { try await Task.sleep(for: .milliseconds(500)) }
            if now - renewedBootMilliseconds >= PullPointSubscription.renewAfterMilliseconds {
                renewedBootMilliseconds = now
                // Some devices renew with every pull and know no Renew; if the subscription ends, the next pull says so.
                do { try await subscription.renew() } catch let error as ONVIFError where error.kind == .fault {}
            }
        }
    }
}
