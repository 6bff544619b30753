/// Why a device could not be asked, in a sentence for the person who set it up. Holds no credentials and no text of the
/// device but its reason, cut to 200 bytes.
package struct ONVIFError: Error, Sendable, Hashable, CustomStringConvertible {
    package enum Kind: String, Sendable {
        /// No connection, or no answer in time.
        case unreachable
        /// The device wants a user name and password, or other ones.
        case credentials
        /// The device answered with a SOAP fault.
        case fault
        /// The answer was malformed, too large, or something else than asked for.
        case answer
        /// Nothing was sent: the address is not one to ask.
        case address
        /// This machine's network did not allow it.
        case network
    }
    package let kind: Kind
    package let description: String

    package init(_ kind: Kind, _ description: String) {
        self.kind = kind
        self.description = description
    }
}
