import FoundationEssentials
import RecordingModel

/// What an integration says, as JSON: `{"readings": {"batteryPercent": 81.5, "isCharging": true}, "confidence": "high", "at": 1732233110.5}`.
/// Names of readings are those of `PowerQuantity`; a truth value stands for 1 or 0, null for nothing.
struct ReadingsJSON: Decodable {
    /// When they were taken, in seconds since 1970 by the clock of this machine; nil for when the file was written.
    var at: Double?
    /// In a recording: seconds since its begin.
    var seconds: Double?
    /// `high` for a shunt, `medium` for a fuel gauge (and when nothing is said), `low` for a guess.
    var confidence: PowerConfidence?
    var readings: [String: Value]

    enum Value: Decodable {
        case number(Double), nothing

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if container.decodeNil() {
                self = .nothing
            } else if let flag = try? container.decode(Bool.self) {
                self = .number(flag ? 1 : 0)
            } else {
                self = .number(try container.decode(Double.self))
            }
        }
    }

    /// - Throws: a sentence when it is not of this form, or names a reading that does not exist.
    init(_ bytes: some Sequence<UInt8>, from path: String) throws {
        do {
            self = try JSONDecoder().decode(ReadingsJSON.self, from: Data(bytes))
        } catch let error as DecodingError {
            throw PowerSourceProblem("\(path) is not of the form {\"readings\": {\"batteryPercent\": 50}}: \(error.sentence)")
        }
        if let unknown = readings.keys.sorted().first(where: { PowerQuantity(rawValue: $0) == nil }) {
            throw PowerSourceProblem("\(path) has a reading called \(unknown.prefix(40)); there are \(PowerQuantity.allCases.map(\.rawValue).joined(separator: ", "))")
        }
    }

    func powerReadings(source: String, bootMilliseconds: Int64) -> [PowerReading] {
        var batch = ReadingBatch(source: source, bootMilliseconds: bootMilliseconds)
        for (name, value) in readings.sorted(by: { $0.key < $1.key }) {
            guard let quantity = PowerQuantity(rawValue: name), case .number(let number) = value else { continue }
            batch.add(quantity, number, confidence ?? .medium)
        }
        return batch.readings
    }
}

extension DecodingError {
    fileprivate var sentence: String {
        switch self {
        case .dataCorrupted(let context), .typeMismatch(_, let context), .valueNotFound(_, let context):
            context.codingPath.map(\.stringValue).joined(separator: ".") + " " + context.debugDescription
        case .keyNotFound(let key, _): "\(key.stringValue) is missing"
        @unknown default: "it cannot be read"
        }
    }
}
