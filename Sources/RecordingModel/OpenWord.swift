/// A word of a log entry to which later versions may add. One that this version does not know reads as `unrecognised`, so
/// that a hub takes the entries of a node that is newer than itself. Entries are kept and proven as bytes: nothing is lost.
package protocol OpenWord: RawRepresentable, Codable where RawValue == String {
    static var unrecognised: Self { get }
}

extension OpenWord {
    package init(from decoder: any Decoder) throws {
        self = Self(rawValue: try decoder.singleValueContainer().decode(String.self)) ?? .unrecognised
    }
}
