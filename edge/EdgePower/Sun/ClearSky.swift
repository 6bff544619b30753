import Glibc

/// Sunshine in W/m²: on the level ground, straight from the sun on a plane that faces it, and from the rest of the sky.
package struct Irradiance: Hashable, Sendable {
    package var globalHorizontal: Double
    package var directNormal: Double
    package var diffuseHorizontal: Double

    package init(globalHorizontal: Double, directNormal: Double, diffuseHorizontal: Double) {
        self.globalHorizontal = globalHorizontal
        self.directNormal = directNormal
        self.diffuseHorizontal = diffuseHorizontal
    }
}

/// The most a sky without clouds gives. What a site really sees is this times a ratio that is learned.
package enum ClearSky {
    /// Haurwitz (1945): global horizontal irradiance at sea level for an apparent elevation.
    package static func haurwitzGlobalHorizontal(elevationDegrees: Double) -> Double {
        guard elevationDegrees > 0 else { return 0 }
        let cosine = sin(radians(elevationDegrees))
        return 1_098 * cosine * exp(-0.059 / cosine)
    }

    /// Haurwitz with 5 % more for each kilometre above the sea, split by Meinel's beam with Laue's altitude term (1970).
    package static func irradiance(_ sun: SunPosition, altitudeMetres: Double) -> Irradiance {
        let kilometres = max(0, min(5, altitudeMetres / 1_000))
        let elevation = sun.apparentElevationDegrees(pressureHectopascals: 1_013.25 * exp(-kilometres / 8.4))
        guard elevation > 0 else { return Irradiance(globalHorizontal: 0, directNormal: 0, diffuseHorizontal: 0) }
        let global = haurwitzGlobalHorizontal(elevationDegrees: elevation) * (1 + 0.05 * kilometres)
        // Kasten and Young (1989).
        let airMass = 1 / (sin(radians(elevation)) + 0.50572 * pow(elevation + 6.07995, -1.6364))
        let beam = 1_353 * ((1 - 0.14 * kilometres) * pow(0.7, pow(airMass, 0.678)) + 0.14 * kilometres)
        // Some of the light always comes from the sky.
        let beamHorizontal = min(beam * sin(radians(elevation)), 0.92 * global)
        return Irradiance(globalHorizontal: global, directNormal: beamHorizontal / sin(radians(elevation)), diffuseHorizontal: global - beamHorizontal)
    }
}
