/// A failure of the machinery around a service, in one sentence without secrets.
package struct ServiceSupportError: Error, Hashable, Sendable, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
}
