import sys
from datetime import date

import numpy as np
import pytest

from coursekit.data import co2, photo, stock, sunspots
from coursekit.data.photos import PHOTOS
from coursekit.data.series import years


def test_co2_is_the_record_that_statsmodels_has():
    from statsmodels.datasets import co2 as source

    table = source.load_pandas().data
    record = co2()
    assert np.array_equal(record.values, table["co2"].to_numpy(), equal_nan=True)
    wanted = [day.year + (day.day_of_year - 1) / (366 if day.is_leap_year else 365) for day in table.index]
    assert np.allclose(record.times, wanted, rtol=0, atol=1e-9)
    assert len(record) == 2284 and np.isnan(record.values).sum() == 59


def test_co2_has_gaps_and_rises():
    record = co2()
    assert "59 of them missing" in repr(record)
    assert np.all(np.diff(record.times) > 0)
    assert np.nanmean(record.values[-52:]) - np.nanmean(record.values[:52]) > 50


def test_sunspots_are_those_of_statsmodels():
    from statsmodels.datasets import sunspots as source

    table = source.load_pandas().data
    record = sunspots()
    assert np.array_equal(record.times, table["YEAR"]) and np.array_equal(record.values, table["SUNACTIVITY"])


def test_a_stock_needs_no_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "statsmodels", None)
    record = stock("IBM")
    assert np.all(np.diff(record.times) > 0)
    assert len(record) > 380 and record.values.min() > 0 and np.ptp(np.diff(record.times)) < 0.02
    assert record.values[0] == pytest.approx(10.970438) and record.times[0] == 1990
    with pytest.raises(ValueError, match="wanted one of IBM, AAPL"):
        stock("SUN")


def test_years_know_leap_years():
    days = ["1970-01-01", "1969-07-02", "2000-03-01", "1958-12-31"]
    wanted = []
    for text in days:
        day = date.fromisoformat(text)
        first, after = date(day.year, 1, 1), date(day.year + 1, 1, 1)
        wanted.append(day.year + (day - first).days / (after - first).days)
    assert np.allclose(years(days), wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("load", [co2, sunspots])
def test_without_statsmodels_it_says_what_to_install(load, monkeypatch):
    monkeypatch.setitem(sys.modules, "statsmodels", None)
    with pytest.raises(ModuleNotFoundError, match="pip install statsmodels"):
        load()


def test_photos_without_scikit_image(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage", None)
    with pytest.raises(ModuleNotFoundError, match="pip install scikit-image"):
        photo("camera")
    assert photo("china").shape == (427, 640)


@pytest.mark.parametrize("name", PHOTOS)
def test_photos_are_in_the_wheels(name):
    grey, colours = photo(name), photo(name, grey=False)
    assert grey.ndim == 2 and grey.dtype == colours.dtype == np.float32
    assert grey.min() >= 0 and colours.max() <= 1 and np.ptp(grey) > 0.3


def test_photos_are_those_of_scikit_image():
    from skimage import color, data

    assert np.array_equal(photo("camera"), (data.camera() / 255).astype(np.float32))
    assert np.allclose(photo("coffee"), color.rgb2gray(data.coffee()), atol=1e-6)
    with pytest.raises(ValueError, match="wanted one of camera"):
        photo("lena")


def test_a_file_that_is_not_there_is_told():
    from coursekit.data.extra import packaged

    with pytest.raises(FileNotFoundError, match="where the record should be"):
        packaged("numpy", "nothing.csv", "the record")
