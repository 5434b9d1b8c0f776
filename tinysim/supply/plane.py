"""Irradiance on a tilted panel from global horizontal irradiance, by pvlib. Needs the extra `tinysim[pvlib]`."""

from __future__ import annotations

from datetime import datetime

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinysim.errors import InputError
from tinysim.supply.traces import interval_edges

__all__ = ["plane_irradiance"]


def plane_irradiance(
    time_s: ArrayLike,
    ghi_w_m2: ArrayLike,
    *,
    start: datetime,
    latitude_deg: float,
    longitude_deg: float,
    tilt_deg: float,
    azimuth_deg: float = 180.0,
    albedo: float = 0.25,
) -> NDArray[np.float64]:
    """Irradiance [W/m2] on a panel's plane for each row of a series of global horizontal irradiance.

    The sun stands where it is in the middle of each row's interval (NREL's solar position algorithm). Erbs 1982 parts
    the irradiance into beam and diffuse, which the isotropic sky of Liu and Jordan puts on the plane.

    Args:
        time_s: times since `start` [s], shape (n,); a row holds until the next.
        ghi_w_m2: global horizontal irradiance [W/m2], shape (n,).
        start: of the series, with its time zone.
        latitude_deg: north of the equator [degree].
        longitude_deg: east of Greenwich [degree].
        tilt_deg: of the panel from the horizontal [degree].
        azimuth_deg: of the panel, clockwise from north [degree].
        albedo: of the ground.

    Raises:
        InputError: pvlib is not installed, or `start` has no time zone.
    """
    if start.tzinfo is None:
        raise InputError(f"plane_irradiance: start {start.isoformat()} needs a time zone, such as +00:00")
    try:
        from pvlib import irradiance, solarposition
    except ImportError as error:
        raise InputError("a tilted panel needs pvlib: pip install 'tinysim[pvlib]'") from error
    import pandas as pd

    time, ghi = np.asarray(time_s, float), np.asarray(ghi_w_m2, float)
    edges = interval_edges(time)
    when = pd.Timestamp(start) + pd.to_timedelta(0.5 * (edges[:-1] + edges[1:]), unit="s")
    sun = solarposition.get_solarposition(when, latitude_deg, longitude_deg)
    zenith, azimuth = sun["zenith"].to_numpy(), sun["azimuth"].to_numpy()
    split = irradiance.erbs(ghi, zenith, when.day_of_year.to_numpy())
    total = irradiance.get_total_irradiance(
        tilt_deg, azimuth_deg, zenith, azimuth, split["dni"], ghi, split["dhi"], albedo=albedo, model="isotropic"
    )
    return np.asarray(np.maximum(total["poa_global"], 0.0), float)
