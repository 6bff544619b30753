import Glibc

/// A panel with what is lost between it and the battery's terminals.
package struct SolarPanel: Hashable, Sendable, Codable {
    /// At 1000 W/m² and 25 °C, by its label.
    package var watts: Double
    /// From the level: 0 lies flat, 90 stands upright.
    package var tiltDegrees: Double
    /// Where it looks, from north over east: 180 is south.
    package var azimuthDegrees: Double
    /// Dirt, shade, mismatch, wiring and the rest (PVWatts, `pvwattsLossShare`).
    package var lossShare: Double
    /// Of the charge controller.
    package var converterEfficiency: Double
    /// Power per kelvin of the cells above 25 °C.
    package var perKelvin: Double

    package static let albedo = 0.25
    /// PVWatts' usual items: soiling 2, shading 3, snow 0, mismatch 2, wiring 2, connections 0.5, light-induced 1.5,
    /// nameplate 1, availability 3 percent (NREL/TP-6A20-62641, table 5).
    package static let pvwattsLossShare = lossShare(percents: [2, 3, 0, 2, 2, 0.5, 1.5, 1, 3])

    package init(
        watts: Double, tiltDegrees: Double, azimuthDegrees: Double = 180, lossShare: Double = SolarPanel.pvwattsLossShare, converterEfficiency: Double = 0.95,
        perKelvin: Double = -0.004
    ) {
        self.watts = watts
        self.tiltDegrees = tiltDegrees
        self.azimuthDegrees = azimuthDegrees
        self.lossShare = lossShare
        self.converterEfficiency = converterEfficiency
        self.perKelvin = perKelvin
    }

    /// Losses one after the other.
    package static func lossShare(percents: [Double]) -> Double { 1 - percents.reduce(1) { $0 * (1 - $1 / 100) } }

    /// On the panel's plane, W/m²: the sun's beam, half the sky by the tilt (isotropic), and what the ground throws back.
    package func planeIrradiance(_ sky: Irradiance, sun: SunPosition) -> Double {
        let tilt = radians(tiltDegrees)
        let zenith = radians(90 - sun.elevationDegrees)
        let cosine = cos(zenith) * cos(tilt) + sin(zenith) * sin(tilt) * cos(radians(sun.azimuthDegrees - azimuthDegrees))
        let beam = sun.elevationDegrees > 0 ? max(0, sky.directNormal * cosine) : 0
        return beam + sky.diffuseHorizontal * (1 + cos(tilt)) / 2 + sky.globalHorizontal * Self.albedo * (1 - cos(tilt)) / 2
    }

    /// PVWatts' direct current power before losses (NREL/TP-6A20-62641, section 5).
    package func directCurrentWatts(planeIrradiance: Double, cellCelsius: Double) -> Double {
        watts * planeIrradiance / 1_000 * (1 + perKelvin * (cellCelsius - 25))
    }

    /// What arrives at the battery. The cells are 31 K warmer than the air in full sun (NOCT 45 °C).
    package func harvestWatts(planeIrradiance: Double, airCelsius: Double) -> Double {
        let cell = airCelsius + planeIrradiance * 0.031
        return max(0, directCurrentWatts(planeIrradiance: planeIrradiance, cellCelsius: cell) * (1 - lossShare) * converterEfficiency)
    }

    /// The most to be expected under a clear sky.
    package func clearSkyWatts(unixMilliseconds: Int64, site: PowerSite, airCelsius: Double = 15) -> Double {
        let sun = SunPosition(unixMilliseconds: unixMilliseconds, site: site)
        guard sun.elevationDegrees > -1 else { return 0 }
        return harvestWatts(planeIrradiance: planeIrradiance(ClearSky.irradiance(sun, altitudeMetres: site.altitudeMetres), sun: sun), airCelsius: airCelsius)
    }
}
