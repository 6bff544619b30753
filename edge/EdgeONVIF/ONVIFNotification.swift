/// Something a device reports of itself, by whatever way it came.
package struct ONVIFNotification: Sendable, Hashable {
    /// In one message; more are left out.
    static let itemsMax = 32
    /// Of a name or value; longer items are left out.
    static let itemBytesMax = 256

    /// Without prefixes: `RuleEngine/CellMotionDetector/Motion`.
    package var topic: String
    /// By the device's clock; nil where it gives none that can be read.
    package var utcUnixMilliseconds: Int64?
    /// `Initialized` (the state when the subscription began), `Changed` or `Deleted`; empty for what is no property.
    package var operation: String
    /// What it is about, such as `VideoSourceConfigurationToken` and the token.
    package var sourceTokens: [String: String]
    package var data: [String: String]

    package enum Trigger: String, Sendable, CaseIterable { case motion, digitalInput }

    /// What recording goes by: motion or a digital input, and whether it is there now. Nil for everything else. The topics are
    /// those of the ONVIF Imaging, Device IO and Video Analytics Service Specifications.
    package var state: (trigger: Trigger, isActive: Bool)? {
        guard operation != "Deleted" else { return nil }
        func value(_ names: String...) -> Bool? {
            for name in names {
                switch data[name]?.lowercased() {
                case "true", "1": return true
                case "false", "0": return false
                default: continue
                }
            }
            return nil
        }
        if topic == "VideoSource/MotionAlarm" { return value("State").map { (.motion, $0) } }
        if topic.hasPrefix("RuleEngine/") { return value("IsMotion", "State", "IsInside").map { (.motion, $0) } }
        if topic == "Device/Trigger/DigitalInput" { return value("LogicalState").map { (.digitalInput, $0) } }
        return nil
    }

    /// The notifications of a `wsnt:Notify` that a device posted to us, or of any other body with `NotificationMessage`.
    /// At most 64 are taken.
    /// - Throws: `ONVIFError` when this is no such message, or one beyond `XMLLimits.answer`.
    package static func notify(_ body: [UInt8]) throws -> [ONVIFNotification] {
        let document = try XMLReader.read(body, limits: .answer)
        guard document.name == "Envelope", let notify = document.at("Body", "Notify") else { throw ONVIFError(.answer, "this is no notification (wsnt:Notify)") }
        return messages(in: notify)
    }

    /// Those of them that can be read.
    static func messages(in element: XMLElement) -> [ONVIFNotification] {
        element.children("NotificationMessage").prefix(PullPointSubscription.messagesMax).compactMap(ONVIFNotification.init)
    }

    /// `wsnt:NotificationMessage` with a `tt:Message` in it.
    init?(_ element: XMLElement) {
        guard let said = element.child("Topic")?.text, !said.isEmpty, said.utf8.count <= Self.itemBytesMax, let message = element.at("Message", "Message") else { return nil }
        // A concrete topic is a path; each step may have a prefix (WS-Topics 1.3, section 8).
        topic = said.split(separator: "/").map { String($0.split(separator: ":").last ?? "") }.joined(separator: "/")
        utcUnixMilliseconds = message.attribute("UtcTime").flatMap(ONVIFTime.unixMilliseconds)
        operation = message.attribute("PropertyOperation").map(SOAPAnswer.bounded) ?? ""
        sourceTokens = Self.items(message.child("Source"))
        data = Self.items(message.child("Data"))
    }

    private static func items(_ element: XMLElement?) -> [String: String] {
        var result: [String: String] = [:]
        for item in (element?.children("SimpleItem") ?? []).prefix(itemsMax) {
            guard let name = item.attribute("Name"), let value = item.attribute("Value"), name.utf8.count <= itemBytesMax, value.utf8.count <= itemBytesMax else { continue }
            result[name] = value
        }
        return result
    }
}
