"""Real time series, with the gaps that they have."""

from dataclasses import dataclass

import numpy as np

from .extra import packaged
from .missing import delete, gaps


@dataclass(frozen=True, eq=False, repr=False)
class Series:
    """What was measured, and when.

    Parameters
    ----------
    name, unit : str
        What the values are, and in what they are counted.
    times : ndarray, float64, shape (n,)
        In years, ascending: 1958.25 is the end of March.
    values : ndarray, float64, shape (n,)
        nan where nothing was measured.
    """

    name: str
    unit: str
    times: np.ndarray
    values: np.ndarray

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        found = gaps(self.values)
        missing = sum(stop - start for start, stop in found)
        first, last = self.times[0], self.times[-1]
        return (
            f"Series({self.name} in {self.unit}: {len(self):,} values from {first:.1f} to {last:.1f}, "
            f"{missing} of them missing in {len(found)} gaps)"
        )


def co2() -> Series:
    """CO2 in the air on Mauna Loa, weekly from March 1958 to December 2001, with weeks in which nothing was measured.

    Keeling and Whorf, "Atmospheric CO2 concentrations derived from flask air samples at sites in the SIO network",
    Carbon Dioxide Information Analysis Center, 2004; public domain, inside the wheel of statsmodels.

    Returns
    -------
    Series
        2,284 values in ppm, 59 of them missing. Fresh arrays at each call.

    Raises
    ------
    ModuleNotFoundError
        If statsmodels is not installed (the extra ``data``).
    """
    path = packaged("statsmodels", "datasets/co2/co2.csv", "the CO2 record")
    table = np.genfromtxt(path, delimiter=",", skip_header=1, dtype=str)
    days = [f"{text[:4]}-{text[4:6]}-{text[6:]}" for text in table[:, 0]]
    return Series("CO2 on Mauna Loa", "ppm", years(days), _numbers(table[:, 1]))


def sunspots() -> Series:
    """Sunspot numbers, yearly from 1700 to 2008, without gaps: 309 values.

    Sunspot Index and Long-term Solar Observations, Royal Observatory of Belgium; inside the wheel of statsmodels.
    Returns and raises as :func:`co2`.
    """
    path = packaged("statsmodels", "datasets/sunspots/sunspots.csv", "the record of sunspots")
    times, values = np.loadtxt(path, delimiter=",", skiprows=1, unpack=True)
    return Series("sunspots", "a yearly mean", times, values)


def stock(name: str = "IBM") -> Series:
    """A closing price, monthly from 1990, from the sample data of matplotlib, which the course always has.

    The source is Yahoo Finance; the table's rows for the day of a dividend, which have no price, are left out, and so
    is the time before the first price. Fresh arrays at each call. ValueError for a name that is not in the table.
    """
    path = packaged("matplotlib", "mpl-data/sample_data/Stocks.csv", "the table of prices")
    header, *rows = (line.split(",") for line in path.read_text().splitlines() if not line.startswith("#"))
    if name not in header[1:]:
        raise ValueError(f"no prices of {name!r}; wanted one of {', '.join(header[1:])}")
    times, prices = years([row[0] for row in rows]), _numbers([row[header.index(name)] for row in rows])
    return Series(f"price of {name}", "US dollars", *delete(times, prices))


def years(days) -> np.ndarray:
    """Days such as "1958-03-29" as years, float64: the share of the year that has passed at 0 o'clock."""
    day = np.asarray(days, dtype="datetime64[D]")
    year = day.astype("datetime64[Y]")
    start, after = year.astype("datetime64[D]"), (year + 1).astype("datetime64[D]")
    return 1970 + year.astype(np.int64) + (day - start) / (after - start)


def _numbers(texts) -> np.ndarray:
    return np.array([float(text) if text else np.nan for text in texts])
