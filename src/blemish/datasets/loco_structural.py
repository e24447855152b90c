"""loco-structural: MVTec LOCO AD with its structural anomalies alone."""

from blemish.datasets.layouts.loco_archive import loco_data_set

DATA_SET = loco_data_set("loco-structural", "MVTec LOCO AD, structural only", ("structural",))
