import CLibAV

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A failed FFmpeg call: its code, what was tried, and FFmpeg's words, without secrets.
package struct LibAVError: Error, Hashable, Sendable, CustomStringConvertible {
    package var code: Int32
    package var operation: String
    package var text: String
    /// Set when the call ended because its `InterruptContext` said so; the code then means nothing.
    package var interruption: InterruptReason?

    package init(code: Int32, operation: String, interruption: InterruptReason? = nil) {
        self.code = code
        self.operation = scrubbed(operation)
        self.interruption = interruption
        text = switch interruption {
        case .cancelled: "cancelled"
        case .timedOut: "no answer in time"
        case nil: Self.text(of: code)
        }
    }

    package var description: String { "\(operation): \(text)" }

    private static func text(of code: Int32) -> String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(AV_ERROR_MAX_STRING_SIZE)) { buffer in
            buffer.initialize(repeating: 0)
            guard let base = buffer.baseAddress, av_strerror(code, base, buffer.count) == 0 else { return "FFmpeg error \(code)" }
            return String(cString: base)
        }
    }
}

/// What an FFmpeg code means to a caller that must act on it.
extension LibAVError {
    package enum Kind: Sendable, Hashable {
        /// The other side answered and refuses: wrong credentials, no such stream.
        case refused
        /// What came is no media that this build can read.
        case unsupported
        case other
    }

    package var kind: Kind {
        switch code {
        case clibav_error_http_unauthorized, clibav_error_http_forbidden, clibav_error_http_not_found, clibav_error_http_bad_request,
            clibav_error_http_other_4xx:
            .refused
        case clibav_error_invalid_data, clibav_error_protocol_not_found, clibav_error_demuxer_not_found, clibav_error_stream_not_found,
            clibav_error_patch_welcome:
            .unsupported
        default: .other
        }
    }

    package static let timedOut = clibav_error_from_errno(ETIMEDOUT)
    static let outOfMemory = clibav_error_from_errno(ENOMEM)
    static let tryAgain = clibav_error_from_errno(EAGAIN)
}

/// How a call that moves packets ended. The end of a stream and "not now" are outcomes, not errors.
package enum TransferOutcome: Sendable, Hashable {
    case done
    case wouldBlock
    case ended
}

/// Throws for a negative code; returns it otherwise.
@discardableResult
func checked(_ code: Int32, _ operation: @autoclosure () -> String, _ interrupt: InterruptContext? = nil) throws(LibAVError) -> Int32 {
    guard code < 0 else { return code }
    throw LibAVError(code: code, operation: operation(), interruption: interrupt?.reason)
}
