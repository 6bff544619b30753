/// Messages as devices send them.
enum Samples {
    static func probeMatch(
        relatesTo: String, types: String = "dn:NetworkVideoTransmitter", scopes: String = "onvif://www.onvif.org/name/North%20gate onvif://www.onvif.org/hardware/X1",
        addresses: String = "http://192.0.2.9/onvif/device_service", endpoint: String = "urn:uuid:e1"
    ) -> String {
        """
        <?xml version="1.0" encoding="utf-8"?>
        <SOAP-ENV:Envelope xmlns:SOAP-ENV="http://www.w3.org/2003/05/soap-envelope" xmlns:wsa="http://schemas.xmlsoap.org/ws/2004/08/addressing" xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery" xmlns:dn="http://www.onvif.org/ver10/network/wsdl">
        <SOAP-ENV:Header><wsa:MessageID>urn:uuid:m</wsa:MessageID><wsa:RelatesTo>\(relatesTo)</wsa:RelatesTo></SOAP-ENV:Header>
        <SOAP-ENV:Body><d:ProbeMatches><d:ProbeMatch><wsa:EndpointReference><wsa:Address>\(endpoint)</wsa:Address></wsa:EndpointReference>
        <d:Types>\(types)</d:Types><d:Scopes>\(scopes)</d:Scopes><d:XAddrs>\(addresses)</d:XAddrs><d:MetadataVersion>1</d:MetadataVersion></d:ProbeMatch></d:ProbeMatches></SOAP-ENV:Body></SOAP-ENV:Envelope>
        """
    }

    static func message(topic: String, operation: String = "Changed", source: String = "", data: String, time: String = "2026-11-21T08:27:59.5Z") -> String {
        "<wsnt:NotificationMessage><wsnt:Topic Dialect=\"http://www.onvif.org/ver10/tev/topicExpression/ConcreteSet\">\(topic)</wsnt:Topic><wsnt:Message><tt:Message UtcTime=\"\(time)\" PropertyOperation=\"\(operation)\"><tt:Source>\(source)</tt:Source><tt:Data>\(data)</tt:Data></tt:Message></wsnt:Message></wsnt:NotificationMessage>"
    }

    static func notify(_ messages: String) -> String {
        "<s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\" xmlns:wsnt=\"http://docs.oasis-open.org/wsn/b-2\" xmlns:tt=\"http://www.onvif.org/ver10/schema\" xmlns:tns1=\"http://www.onvif.org/ver10/topics\"><s:Body><wsnt:Notify>\(messages)</wsnt:Notify></s:Body></s:Envelope>"
    }

    static let notify = notify(
        message(topic: "tns1:RuleEngine/CellMotionDetector/Motion", source: "<tt:SimpleItem Name=\"VideoSourceConfigurationToken\" Value=\"1\"/>", data: "<tt:SimpleItem Name=\"IsMotion\" Value=\"true\"/>"))
}
