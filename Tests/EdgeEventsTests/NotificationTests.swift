@testable import EdgeEvents
import EdgeMotion
import EdgeONVIF
import RecordingModel
import Testing

@Suite("Events of ONVIF cameras")
struct NotificationTests {
    private func message(_ topic: String, rule: String? = nil, operation: String = "Changed", _ name: String, _ value: String) -> String {
        let source = rule.map { #"<tt:SimpleItem Name="Rule" Value="\#($0)"/>"# } ?? ""
        return """
            <wsnt:NotificationMessage><wsnt:Topic Dialect="http://www.onvif.org/ver10/tev/topicExpression/ConcreteSet">\(topic)</wsnt:Topic>
            <wsnt:Message><tt:Message UtcTime="2026-07-06T07:00:00Z" PropertyOperation="\(operation)">
            <tt:Source><tt:SimpleItem Name="VideoSourceConfigurationToken" Value="1"/>\(source)</tt:Source>
            <tt:Data><tt:SimpleItem Name="\(name)" Value="\(value)"/></tt:Data></tt:Message></wsnt:Message></wsnt:NotificationMessage>
            """
    }

    private func notify(_ messages: String...) -> String {
        """
        <?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:wsnt="http://docs.oasis-open.org/wsn/b-2" \
        xmlns:tt="http://www.onvif.org/ver10/schema" xmlns:tns1="http://www.onvif.org/ver10/topics"><s:Body><wsnt:Notify>\(messages.joined())</wsnt:Notify></s:Body></s:Envelope>
        """
    }

    @Test("A notification that a camera posts begins and ends an event, two rules apart, and leaves out what is none")
    func posted() async throws {
        let bench = try await Bench()
        let topic = "tns1:RuleEngine/CellMotionDetector/Motion"
        let body = notify(
            message(topic, rule: "road", "IsMotion", "true"), message(topic, rule: "yard", operation: "Initialized", "IsMotion", "false"),
            message("tns1:Device/Trigger/DigitalInput", "LogicalState", "1"), message("tns1:Monitoring/ProcessorUsage", "Value", "1"))
        #expect(try bench.post("/onvif/gate", body).hasPrefix("HTTP/1.1 200 OK"))
        let taken = try bench.taken()
        #expect(taken.map(\.label) == ["Motion road", "Motion yard", "DigitalInput 1"] && taken.allSatisfy { $0.source == .onvif })
        #expect(taken.map(\.phase) == [.lasting(milliseconds: 600_000), .over, .lasting(milliseconds: 600_000)])
        #expect(try bench.post("/onvif/gate", body + "x").hasPrefix("HTTP/1.1 400 "))
        await bench.stop()
    }
}
