import FoundationEssentials
import HTTPTypes
import Hummingbird
import NIOCore
import RecordingModel

// Strict readers of what a client sends: a value is used whole or refused with the name of its field.

extension ReviewContext {
    func node() throws -> NodeID {
        guard let node = parameters.get("node").flatMap({ NodeID($0) }) else { throw Problem.notFound }
        return node
    }

    func camera() throws -> CameraID {
        guard let camera = parameters.get("camera").flatMap({ CameraID($0) }) else { throw Problem.notFound }
        return camera
    }
}

extension Request {
    /// The value of a query parameter; given twice it is refused.
    func query(_ name: String) throws -> String? {
        let values = (uri.query ?? "").split(separator: "&").filter { $0.prefix { $0 != "=" } == name }
        guard values.count <= 1 else { throw Problem(.badRequest, "The parameter \(name) is given more than once.", field: name) }
        guard let pair = values.first else { return nil }
        guard let value = pair.dropFirst(name.count + 1).formDecoded else {
            throw Problem(.badRequest, "The parameter \(name) is not properly encoded.", field: name)
        }
        return value
    }

    func timeQuery(_ name: String) throws -> Int64 {
        // The years 1970 to 9999.
        guard let text = try query(name), let value = Int64(text), (0...253_402_300_799_999).contains(value) else {
            throw Problem(.badRequest, "The parameter \(name) must be a time in milliseconds since 1970.", field: name)
        }
        return value
    }

    /// `from` and `to`, in order, and at most so far apart.
    func window(atMost milliseconds: Int64) throws -> Range<Int64> {
        let from = try timeQuery("from")
        let to = try timeQuery("to")
        guard from < to else { throw Problem(.badRequest, "The parameter to must be later than from.", field: "to") }
        guard to - from <= milliseconds else {
            throw Problem(.badRequest, "The time between from and to must be at most \(milliseconds / 3_600_000) hours.", field: "to")
        }
        return from..<to
    }

    func form(upTo bytes: Int = ReviewLimits.formBytes) async throws -> [String: String] {
        guard headers[.contentType]?.hasPrefix("application/x-www-form-urlencoded") == true else {
            throw Problem(.unsupportedMediaType, "The body must be a form.")
        }
        let body = try await body.collect(upTo: bytes)
        var fields: [String: String] = [:]
        for pair in String(buffer: body).split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = String(parts[0]).formDecoded, let value = parts.count == 2 ? String(parts[1]).formDecoded : "" else {
                throw Problem(.badRequest, "The form is not properly encoded.")
            }
            guard fields.updateValue(value, forKey: name) == nil else { throw Problem(.badRequest, "The form has a field twice.", field: name) }
        }
        return fields
    }

    func json<Value: Decodable>(_: Value.Type, upTo bytes: Int) async throws -> Value {
        let body = try await body.collect(upTo: bytes)
        do {
            return try JSONDecoder().decode(Value.self, from: Data(body.readableBytesView))
        } catch DecodingError.keyNotFound(let key, _) {
            throw Problem(.badRequest, "The field \(key.stringValue) is missing.", field: key.stringValue)
        } catch let DecodingError.typeMismatch(_, context), let DecodingError.valueNotFound(_, context) {
            throw Problem(.badRequest, "A field has the wrong type.", field: context.codingPath.map(\.stringValue).joined(separator: "."))
        } catch DecodingError.dataCorrupted(let context) where !context.codingPath.isEmpty {
            throw Problem(.badRequest, "A field has a wrong value.", field: context.codingPath.map(\.stringValue).joined(separator: "."))
        } catch {
            throw Problem(.badRequest, "The body is not the JSON that this address takes.")
        }
    }
}

extension StringProtocol {
    /// For a value in a query or form.
    var formEncoded: String {
        var result = ""
        for byte in utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "~"):
                result.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                result += "%" + Hex.encode([byte]).uppercased()
            }
        }
        return result
    }

    /// Nil for broken percent signs or bytes that are no UTF-8.
    var formDecoded: String? {
        var bytes: [UInt8] = []
        var rest = Array(utf8)[...]
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "+"): bytes.append(UInt8(ascii: " "))
            case UInt8(ascii: "%"):
                guard rest.count >= 2, let value = Hex.decode(String(decoding: rest.prefix(2), as: UTF8.self).lowercased()) else { return nil }
                bytes += value
                rest = rest.dropFirst(2)
            default: bytes.append(byte)
            }
        }
        return String(validating: bytes, as: UTF8.self)
    }
}

extension Response {
    static func json(_ value: some Encodable, status: HTTPResponse.Status = .ok) throws -> Response {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let bytes = try encoder.encode(value)
        return Response(
            status: status, headers: [.contentType: "application/json", .cacheControl: "no-store"],
            body: .init(byteBuffer: ByteBuffer(bytes: Array(bytes))))
    }

    static func text(_ text: String, type: String, cacheControl: String = "no-store") -> Response {
        Response(status: .ok, headers: [.contentType: type, .cacheControl: cacheControl], body: .init(byteBuffer: ByteBuffer(string: text)))
    }
}
