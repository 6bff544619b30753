import GRDB

/// GRDB's own subscripts end the program when a column is missing or of another type. A damaged file has both.
extension Row {
    /// - Throws: SQLITE_CORRUPT unless the column is there and holds a value of this type.
    func value<Value: DatabaseValueConvertible>(_ column: String) throws -> Value {
        guard let value: Value = try optional(column) else { throw Self.damage(column) }
        return value
    }

    /// Nil for NULL.
    /// - Throws: SQLITE_CORRUPT when the column is missing or holds something of another type.
    func optional<Value: DatabaseValueConvertible>(_ column: String) throws -> Value? {
        guard hasColumn(column) else { throw Self.damage(column) }
        let stored: DatabaseValue = self[column]
        if stored.isNull { return nil }
        // GRDB reads bytes as text too, but SQL does not find them as text.
        guard let value = Value.fromDatabaseValue(stored), value.databaseValue == stored else { throw Self.damage(column) }
        return value
    }

    private static func damage(_ column: String) -> DatabaseError {
        DatabaseError(resultCode: .SQLITE_CORRUPT, message: "the index holds no usable value for \(column)")
    }
}
