/// The names of ONVIF's Core Specification and what it builds on.
enum Namespace {
    static let envelope = "http://www.w3.org/2003/05/soap-envelope"
    static let addressing = "http://www.w3.org/2005/08/addressing"
    /// WS-Discovery (April 2005) still uses the addressing of August 2004.
    static let discoveryAddressing = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
    static let discovery = "http://schemas.xmlsoap.org/ws/2005/04/discovery"
    static let security = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
    static let securityUtility = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
    static let passwordDigest = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordDigest"
    static let base64Binary = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#Base64Binary"
    static let network = "http://www.onvif.org/ver10/network/wsdl"
    static let device = "http://www.onvif.org/ver10/device/wsdl"
    static let media = "http://www.onvif.org/ver10/media/wsdl"
    static let events = "http://www.onvif.org/ver10/events/wsdl"
    static let schema = "http://www.onvif.org/ver10/schema"
    static let notification = "http://docs.oasis-open.org/wsn/b-2"
}

/// One request: its body, the action that names it, and what the device asked to have sent back.
struct SOAPRequest: Sendable {
    /// The `wsa:Action` and the action parameter of the content type.
    var action: String
    /// The content of `Body`, well formed.
    var body: String
    /// Only messages to a subscription carry WS-Addressing headers: cameras are known that refuse what they do not expect.
    var subscription: SubscriptionReference?

    init(_ action: String, _ body: String, to subscription: SubscriptionReference? = nil) {
        self.action = action
        self.body = body
        self.subscription = subscription
    }

    /// - Parameter security: the content of `wsse:Security`, nil without credentials.
    func envelope(security: String?, messageID: String) -> String {
        var header = ""
        if let security { header += "<w:Security xmlns:w=\"\(Namespace.security)\" s:mustUnderstand=\"1\">\(security)</w:Security>" }
        if let subscription {
            header += "<a:Action>\(XMLText.escaped(action))</a:Action><a:MessageID>\(messageID)</a:MessageID>"
                + "<a:ReplyTo><a:Address>\(Namespace.addressing)/anonymous</a:Address></a:ReplyTo><a:To>\(XMLText.escaped(subscription.statedAddress))</a:To>"
                + subscription.parameters
        }
        return "<?xml version=\"1.0\" encoding=\"UTF-8\"?><s:Envelope xmlns:s=\"\(Namespace.envelope)\" xmlns:a=\"\(Namespace.addressing)\"><s:Header>\(header)</s:Header><s:Body>\(body)</s:Body></s:Envelope>"
    }
}

/// Where a subscription is answered, as the device said.
struct SubscriptionReference: Sendable, Hashable {
    /// The `wsa:To` to send: the device's own words, even if the request goes to another host.
    var statedAddress: String
    /// Its reference parameters, serialized, to be sent back as headers (WS-Addressing 1.0, section 2.3).
    var parameters: String
    /// Where the request goes.
    var url: DeviceURL
}

enum SOAPAnswer {
    /// The first element in the body.
    /// - Throws: `ONVIFError`: a fault in the device's words, or that this is no SOAP at all.
    static func body(_ document: XMLElement, expecting name: String) throws -> XMLElement {
        guard document.name == "Envelope", let body = document.child("Body") else { throw ONVIFError(.answer, "the answer is no SOAP envelope") }
        if let fault = body.child("Fault") { throw Self.fault(fault) }
        guard let element = body.child(name) else { throw ONVIFError(.answer, "the answer is no \(name)") }
        return element
    }

    /// SOAP 1.2's fault, or 1.1's, which some devices send all the same.
    static func fault(_ fault: XMLElement) -> ONVIFError {
        let codes = fault.child("Code")?.all("Value").map(\.text) ?? [fault.child("faultcode")?.text ?? ""]
        let words = fault.at("Reason", "Text")?.text ?? fault.child("faultstring")?.text ?? ""
        let reason = bounded(words.isEmpty ? codes.last ?? "" : words)
        let said = (codes.joined(separator: " ") + " " + words).lowercased()
        let isRefusal = ["notauthorized", "not authorized", "unauthorized", "failedauthentication", "failedcheck", "invalidsecurity", "authority failure"].contains { said.contains($0) }
        return isRefusal ? ONVIFError(.credentials, "the device refuses: \(reason)") : ONVIFError(.fault, "the device answered with a fault: \(reason.isEmpty ? "without a reason" : reason)")
    }

    /// At most 200 bytes of a device's words, printable, on one line.
    static func bounded(_ text: String) -> String {
        let printable = text.unicodeScalars.map { $0.properties.generalCategory == .control || $0.properties.generalCategory == .format ? " " : $0 }
        let clean = String(String.UnicodeScalarView(printable)).split(whereSeparator: \.isWhitespace).joined(separator: " ")
        return clean.utf8.count <= 200 ? clean : String(clean.unicodeScalars.prefix(49)) + "…"
    }
}
