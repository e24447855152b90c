"""loco: MVTec LOCO AD with slices `structural` and `logical`."""

from blemish.datasets.layouts.loco_archive import SLICES, loco_data_set

DATA_SET = loco_data_set("loco", "MVTec LOCO AD, structural and logical anomalies", SLICES)
